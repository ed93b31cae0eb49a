// Adapters trained on one GPU: tokens a second, the card's memory, and what bfloat16 does to the
// losses.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <utility>
#include <vector>

#include "gpu_models.h"
#include "tarn/lm.h"
#include "tarn/memory.h"

namespace bench {

inline lm::TrainData random_examples(size_t count, size_t tokens) {
  lm::TrainData data;
  for (size_t i = 0; i < count; ++i) {
    lm::TrainSample sample;
    for (size_t k = 0; k < tokens; ++k)
      sample.ids.push_back(static_cast<int32_t>((i * 7919 + k * 104729 + i * k * 31) % 100000));
    sample.counts.assign(tokens, 1);
    sample.counts[0] = 0;
    data.train.samples.push_back(sample);
    if (i < 2) data.valid.samples.push_back(std::move(sample));
  }
  return data;
}

struct Course {
  double seconds = 0;  // of a step, the median
  int64_t tokens = 0;  // of a step
  size_t peak = 0;     // bytes
  std::vector<double> losses{};
};
inline Course course_of(const lm::LanguageModel& model, const lm::TrainData& data,
                        const lm::TrainOptions& options) {
  constexpr int64_t warm = 4;  // plans are made and chains compiled
  Course c;
  std::vector<double> seconds;
  reset_peak_memory();
  lm::Trainer(model, data, options).run([&](const lm::TrainEvent& e) {
    if (e.kind != lm::TrainEvent::Kind::step) return lm::TrainNext::more;
    if (e.step > warm) seconds.push_back(e.seconds);
    c.tokens = e.computed;
    c.losses.push_back(e.loss);
    return lm::TrainNext::more;
  });
  std::nth_element(seconds.begin(), seconds.begin() + seconds.size() / 2, seconds.end());
  c.seconds = seconds[seconds.size() / 2];
  c.peak = get_peak_memory();
  return c;
}

// Rank 8 on all linear layers, four examples of 1,024 tokens a step.
inline void bench_adapter(const LlamaShape& s) {
  lm::LanguageModel model = random_llama(s);
  lm::LoRAContainer::from(model, lm::LoRAConfiguration{.num_layers = -1}).load(model);
  lm::TrainData data = random_examples(16, 1025);
  data.valid = {};
  std::vector<double> exact;
  for (auto compute : {lm::ComputeIn::float32, lm::ComputeIn::bfloat16}) {
    lm::TrainOptions options{.learning_rate = 2e-4, .steps = 12, .batch_size = 4};
    bool in_float = compute == lm::ComputeIn::float32;
    options.tokens_at_once = in_float ? 2048 : 4096;  // all at once take too much in float32
    options.compute = compute;
    Course c = course_of(model, data, options);
    std::printf(
        "%s, LoRA steps of %lld tokens in %s: %.1f ms, %.0f tokens a second, %.1f GB at "
        "most; loss %.4f to %.4f",
        s.title, static_cast<long long>(c.tokens), in_float ? "float32" : "bfloat16",
        c.seconds * 1e3, static_cast<double>(c.tokens) / c.seconds,
        static_cast<double>(c.peak) * 1e-9, c.losses.front(), c.losses.back());
    double off = 0;
    for (size_t i = 0; i < exact.size(); ++i)
      off = std::max(off, std::fabs(c.losses[i] - exact[i]));
    if (!in_float) std::printf(", %.1e from float32's at most", off);
    std::puts("");
    std::fflush(stdout);
    exact = std::move(c.losses);
  }
}

}  // namespace bench
