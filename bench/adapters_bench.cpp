// Adapters of rank 8 on all matrices of the default model: adapters_bench [MODEL]. How long one
// takes to load, and to swap in a container's model and in a running answer; and what steps cost
// beside the model alone: of one row, of two and of eight on one adapter, and of 16 rows all on
// one, over eight, and as eight batches of two.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "median.h"
#include "tarn/lm.h"
#include "tarn/ops.h"
#include "tarn/random.h"

namespace {

using namespace tarn::lm;
using tarn::array;
using Clock = std::chrono::steady_clock;
using bench::median;
namespace fs = std::filesystem;

constexpr int adapters = 8, rows = 16, prompt_tokens = 64, steps = 24, rounds = 7;

double milliseconds(const std::function<void()>& f) {
  auto start = Clock::now();
  f();
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

fs::path write_adapter(const LanguageModel& lm, const fs::path& folder, int which) {
  LanguageModel copy = lm;
  auto fresh = LoRAContainer::from(lm, {.num_layers = -1, .lora_parameters = {.rank = 8}});
  fresh.load(copy);
  tarn::random::KeySequence keys(static_cast<uint64_t>(which));
  copy.model.parameters([&](const std::string& path, array& a) {
    if (path.ends_with(".lora_b"))
      a = tarn::random::normal(a.shape(), tarn::float32, 0.0f, 0.001f, keys.next());
  });
  fs::path to = folder / ("adapter" + std::to_string(which));
  fresh.updated_from(copy).save(to);
  return to;
}

// A batch that goes on a token at a time; row i asks for names[i], none for "".
class Batch {
 public:
  Batch(const LanguageModel& lm, const std::vector<std::string>& names)
      : lm_(lm), pass_(lm.model.new_pass({.dtype = tarn::float16}, names.size())) {
    for (const auto& name : names) pass_.adapters.push_back({name, 1});
    run(prompt_tokens);
  }
  double step() {
    return milliseconds([&] { run(1); });
  }
  double step_with(const std::string& name) {
    return milliseconds([&] {
      for (auto& adapter : pass_.adapters) adapter.name = name;
      run(1);
    });
  }

 private:
  void run(int64_t n) {
    tarn::PrecisionScope scope(tarn::Precision::balanced);
    auto count = static_cast<int64_t>(pass_.rows.size());
    array logits = lm_.model(tarn::full({count, n}, 100, tarn::int32), pass_);
    std::vector<array> wanted{logits};
    pass_.collect(wanted);
    eval(wanted);
  }
  const LanguageModel& lm_;
  Pass pass_;
};

}  // namespace

int main(int count, char** words) {
  const char* given = std::getenv("TARN_TEST_MODEL");
  LanguageModel lm = load(count > 1 ? words[1] : given ? given : default_model_path().string());
  fs::path folder = fs::temp_directory_path() / "tarn-adapters-bench";
  std::vector<std::string> names;
  for (int i = 0; i < adapters; ++i)
    names.push_back(write_adapter(lm, folder, i).filename().string());

  ModelContainer container(lm);
  std::vector<LoRAContainer> read;
  std::vector<double> loads;
  for (const auto& name : names)
    loads.push_back(milliseconds([&] {
      read.push_back(LoRAContainer::from(folder / name));
      container.update([&](LanguageModel& m) { read.back().load(m, {.on_request = true}); });
    }));
  std::printf("load from disk: first %.1f ms, median %.1f ms; %.1f MB each\n", loads[0],
              median(loads), static_cast<double>(read[0].nbytes()) / 1e6);

  ModelContainer one(lm);
  one.update([&](LanguageModel& m) { read[0].load(m); });
  std::vector<double> swaps;
  for (size_t i = 0; i + 1 < read.size(); ++i)
    swaps.push_back(milliseconds(
        [&] { one.update([&](LanguageModel& m) { read[i].unload(m), read[i + 1].load(m); }); }));
  std::printf("swap by unload and load: %.1f ms\n", median(swaps));

  auto with = container.model();
  Batch answer(*with, {names[0]});
  std::vector<double> kept, swapped;
  for (size_t i = 1; i <= rounds * steps; ++i) {
    swapped.push_back(answer.step_with(names[i % names.size()]));
    kept.push_back(answer.step());
  }
  std::printf("swap in an answer: a token %.2f ms, with another adapter than before %.2f\n",
              median(kept), median(swapped));
  for (size_t few : {1, 2, 8}) {
    Batch bare(*with, std::vector<std::string>(few)),
        own(*with, std::vector<std::string>(few, names[0]));
    std::vector<double> model, adapted;
    for (int i = 0; i < rounds * steps; ++i)
      model.push_back(bare.step()), adapted.push_back(own.step());
    std::printf("step of %zu row%s: model %.2f ms, one adapter %.2f (%+.0f %%)\n", few,
                few == 1 ? "" : "s", median(model), median(adapted),
                100 * (median(adapted) / median(model) - 1));
  }
  std::vector<std::string> none(rows), same(rows, names[0]), mixed;
  for (int i = 0; i < rows; ++i) mixed.push_back(names[static_cast<size_t>(i * adapters / rows)]);
  Batch base(lm, none), alone(*with, same), together(*with, mixed);
  std::vector<Batch> pairs;
  for (const auto& name : names) pairs.emplace_back(*with, std::vector<std::string>(2, name));
  std::vector<double> a, b, c, d;
  for (int round = 0; round < rounds * steps; ++round) {
    a.push_back(base.step()), b.push_back(alone.step()), c.push_back(together.step());
    double sum = 0;
    for (Batch& pair : pairs) sum += pair.step();
    d.push_back(sum);
  }
  double t = median(a);
  std::printf(
      "step of %d rows: model %.1f ms, one adapter %.1f (%+.0f %%), eight adapters %.1f "
      "(%+.0f %%), eight batches %.1f (%.2f times eight adapters)\n",
      rows, t, median(b), 100 * (median(b) / t - 1), median(c), 100 * (median(c) / t - 1),
      median(d), median(d) / median(c));
  fs::remove_all(folder);
}
