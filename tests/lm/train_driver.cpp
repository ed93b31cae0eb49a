// Trains a small model and goes on where a run in the folder stopped: MODEL DATA FOLDER. Writes a
// line a step and, at the end, a number that all parameters decide. To be killed at any time.
#include <cstdio>
#include <iostream>

#include "base/hash.h"
#include "tarn/lm.h"
#include "tarn/ops.h"

using namespace tarn;

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  lm::LanguageModel model = lm::load(argv[1]);
  lm::TrainOptions options{.steps = 24, .batch_size = 2, .accumulate = 2, .steps_per_eval = 4};
  options.steps_per_save = 2;
  options.folder = argv[3];
  lm::Trainer trainer(model, lm::load_train_data(argv[2], model), options);
  trainer.resume();
  trainer.run([](const lm::TrainEvent& e) {
    if (e.kind != lm::TrainEvent::Kind::saved)
      std::cout << static_cast<int>(e.kind) << " " << e.step << " " << e.loss << std::endl;
    return lm::TrainNext::more;
  });
  Hash hash;
  for (const auto& parameters : {trainer.parameters(), trainer.best_parameters()})
    for (const auto& [path, a] : parameters) {
      hash.add(path);
      const char* bytes = reinterpret_cast<const char*>(a.data<float>());
      hash.add(std::string_view(bytes, a.nbytes()));
    }
  std::printf("weights %016llx\n", static_cast<unsigned long long>(hash.a));
}
