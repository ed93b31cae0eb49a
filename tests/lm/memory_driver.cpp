// memory_driver MODEL CONTEXT BATCH: loads the model, makes so many answers at a time, each of
// which ends at CONTEXT positions, and prints the most memory that was held for it, in bytes. A
// process of its own: the memory of one that did other things before has a history.
#include "memory.h"

#include <cstdio>
#include <exception>
#include <vector>

#include "tarn/lm.h"

namespace {

using namespace tarn::lm;

// One answer has the longest prompt that there can be. Of several, some tokens are made while other
// prompts are computed: a chunk each.
int64_t answer_tokens(int64_t batch) { return batch == 1 ? 2 : 12; }

// Ids that differ from prompt to prompt, so that nothing is shared.
std::vector<int32_t> made_up(const LanguageModel& lm, int64_t tokens, int64_t seed) {
  std::vector<int32_t> ids;
  for (int64_t i = 0; i < tokens; ++i)
    ids.push_back(
        static_cast<int32_t>((1000 + 31 * seed + i * 7919) % lm.model.shape().vocabulary));
  return ids;
}

void read(Generation generation) {
  for ([[maybe_unused]] const Event& event : generation) {
  }
}

void answer(const char* model, int64_t context, int64_t batch) {
  LanguageModel lm = load(model);
  lm.stop_ids.clear();
  int64_t tokens = answer_tokens(batch), prompt = context - tokens + 1;
  GenerateParameters parameters{.max_tokens = static_cast<int>(tokens), .temperature = 0};
  if (batch == 1) return read(generate(lm, made_up(lm, prompt, 0), parameters));
  Engine engine(ModelContainer(lm), {.most_answers = static_cast<int>(batch)});
  std::vector<Generation> answers;
  for (int64_t i = 0; i < batch; ++i)
    answers.push_back(engine.generate({.tokens = made_up(lm, prompt, i)}, parameters));
  for (Generation& a : answers) read(a);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  try {
    tarn_test::MemoryWatch watch;
    answer(argv[1], std::atoll(argv[2]), std::atoll(argv[3]));
    std::printf("%lld\n", static_cast<long long>(watch.stop()));
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
