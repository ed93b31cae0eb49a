// Several answers of the default model at a time beside one: batching_bench [MODEL [STREAMS]].
// Prompts of 128 tokens, answers of 128.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "tarn/lm.h"

namespace {

using namespace tarn::lm;
using Clock = std::chrono::steady_clock;

constexpr int prompt_tokens = 128, new_tokens = 128, rounds = 3;

LMInput prompt(const LanguageModel& model, int stream) {
  LMInput input;
  for (int i = 0; i < prompt_tokens; ++i)
    input.tokens.push_back(
        static_cast<int32_t>((1000 + stream * 977 + i * 7919) % model.model.shape().vocabulary));
  return input;
}

// New tokens a second, the prompts' time among it.
double run(const ModelContainer& container, int streams) {
  auto model = container.model();
  Engine engine(container, {.most_answers = streams, .prefix_bytes = 0});
  GenerateParameters parameters{.max_tokens = new_tokens, .temperature = 0};
  auto start = Clock::now();
  std::vector<Generation> ranges;
  for (int i = 0; i < streams; ++i)
    ranges.push_back(engine.generate(prompt(*model, i), parameters));
  int tokens = 0;
  for (auto& range : ranges)
    for (const Event& e : range) tokens += static_cast<int>(e.ids.size());
  return tokens / std::chrono::duration<double>(Clock::now() - start).count();
}

}  // namespace

int main(int count, char** words) {
  const char* given = std::getenv("TARN_TEST_MODEL");
  LanguageModel model = load(count > 1 ? words[1] : given ? given : default_model_path().string());
  model.stop_ids.clear();
  ModelContainer container(std::move(model));
  int streams = count > 2 ? std::atoi(words[2]) : 8;
  run(container, 1);
  std::vector<double> ratios;
  for (int i = 0; i < rounds; ++i) {
    double one = run(container, 1), many = run(container, streams);
    std::printf("1 stream %7.1f, %d streams %7.1f tokens/s: %.2f times\n", one, streams, many,
                many / one);
    ratios.push_back(many / one);
  }
  std::sort(ratios.begin(), ratios.end());
  std::printf("median: %.2f times\n", ratios[ratios.size() / 2]);
}
