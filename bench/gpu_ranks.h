// What ranks with a GPU each do together, beside what one of them does alone in the same run. All
// ranks compute; rank 0 prints.
#pragma once

#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "gpu_models.h"
#include "gpu_training.h"
#include "lm/load/divide.h"
#include "lm/models/division.h"
#include "median.h"
#include "tarn/distributed.h"

namespace bench {

inline const distributed::Group& ranks() {
  static const distributed::Group all = distributed::init();
  return all;
}
template <class... Words>
void say(fmt::format_string<Words...> text, Words&&... words) {
  if (ranks().rank() != 0) return;
  fmt::print(text, std::forward<Words>(words)...);
  std::fflush(stdout);
}

// --- sums: latency and rate

// Seconds of one evaluation, the median of seven, each of ten in the queue; all ranks make as many.
inline double seconds_together(const std::function<array()>& make) {
  constexpr int rounds = 7, in_queue = 10;
  std::vector<double> all;
  for (int r = -2; r < rounds; ++r) {
    auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < in_queue; ++i) eval(make());
    synchronize();
    std::chrono::duration<double> s = std::chrono::steady_clock::now() - start;
    if (r >= 0) all.push_back(s.count() / in_queue);
  }
  return median(all);
}
inline void bench_sums() {
  constexpr int in_row = 64;
  for (int64_t n : {1024, 4096, 16384, 262144}) {
    array x = full({n}, 0.5f);
    x.eval();
    double s = seconds_together([&] {
      array y = x;
      for (int i = 0; i < in_row; ++i) y = distributed::all_sum(y, ranks()) * array(0.5f);
      return y;
    });
    say("all_sum of {} KiB and a product, {} in a row: {:.1f} us each\n", n * 4 / 1024, in_row,
        s * 1e6 / in_row);
  }
  for (Dtype t : {float32, bfloat16}) {
    array x = astype(full({int64_t{1} << 26}, 0.5f), t);
    x.eval();
    double s = seconds_together([&] { return distributed::all_sum(x, ranks()); });
    say("all_sum of {} MiB: {:.0f} us, {:.0f} GB/s\n", x.nbytes() >> 20, s * 1e6,
        static_cast<double>(x.nbytes()) / s / 1e9);
  }
}

// --- a model that ranks divide

inline lm::LanguageModel divided_llama(const LlamaShape& s, lm::LanguageModel& whole) {
  lm::Checkpoint c;
  c.config = nlohmann::json::parse(config_of(s));
  c.config_file = c.weights_file = s.title;
  whole.model.parameters([&](const std::string& path, array& a) { c.weights.emplace(path, a); });
  lm::DivisionScope scope(ranks());
  lm::divide(c, ranks());
  lm::LanguageModel part;
  part.model = lm::find_architecture("llama")->make(lm::Config::parse(c.config.dump(), s.title));
  std::vector<array> all;
  auto take = [&](const std::string& name) {
    all.push_back(c.weights.at(name));
    return all.back();
  };
  part.model.matrices([&](const std::string& path, nn::Matrix& m) {
    m.weight = take(path + ".weight");
    m.scales = take(path + ".scales"), m.biases = take(path + ".biases");
  });
  part.model.norms(
      [&](const std::string& path, nn::RMSNorm& norm) { norm.weight = take(path + ".weight"); });
  eval(all);
  return part;
}

inline std::vector<int32_t> long_prompt() {
  std::vector<int32_t> prompt;
  for (int i = 0; i < 512; ++i) prompt.push_back(1000 + i * 379 % 40000);
  return prompt;
}
struct Answer {
  std::vector<int32_t> ids{};
  double prompt_rate = 0, rate = 0;  // tokens a second; the median of three answers
};
inline Answer answer_of(const lm::LanguageModel& model, Precision precision) {
  constexpr int tokens = 129, answers = 3;
  lm::GenerateParameters options{.max_tokens = tokens, .temperature = 0};
  options.precision = precision;
  Answer answer;
  std::vector<double> prompt_rates, rates;
  for (int i = 0; i <= answers; ++i) {
    answer.ids.clear();
    for (const lm::Event& e : lm::generate(model, long_prompt(), options)) {
      answer.ids.insert(answer.ids.end(), e.ids.begin(), e.ids.end());
      if (e.kind != lm::Event::Kind::info || i == 0) continue;
      prompt_rates.push_back(e.info.prompt_tokens_per_second());
      rates.push_back(e.info.tokens_per_second());
    }
  }
  answer.prompt_rate = median(prompt_rates), answer.rate = median(rates);
  return answer;
}
// Of the logits behind a short prompt, as a share of the largest.
inline float difference(const lm::LanguageModel& a, const lm::LanguageModel& b,
                        Precision precision) {
  PrecisionScope scope(precision);
  array ids({17, 4711, 23, 99, 1234, 5}, {1, 6});
  lm::Pass pass_a, pass_b;
  array x = a.model(ids, pass_a), y = b.model(ids, pass_b);
  return max(abs(x - y)).item<float>() / max(abs(x)).item<float>();
}
inline void bench_divided(const LlamaShape& s) {
  lm::LanguageModel whole = random_llama(s), part = divided_llama(s, whole);
  for (auto precision : {Precision::balanced, Precision::exact}) {
    Answer alone = answer_of(whole, precision), together = answer_of(part, precision);
    size_t same = static_cast<size_t>(
        std::mismatch(alone.ids.begin(), alone.ids.end(), together.ids.begin(), together.ids.end())
            .first -
        alone.ids.begin());
    say("{}, {}: prompt {:.0f} and {:.0f} tokens a second, {:.2f} times; answer {:.1f} and {:.1f}, "
        "{:.2f} times; the first {} of {} tokens are the same, logits to {:.1e}\n",
        s.title, precision == Precision::exact ? "exact" : "balanced", alone.prompt_rate,
        together.prompt_rate, together.prompt_rate / alone.prompt_rate, alone.rate, together.rate,
        together.rate / alone.rate, same, alone.ids.size(), difference(whole, part, precision));
    TokenTime one = token_time(whole, long_prompt(), precision),
              shared = token_time(part, long_prompt(), precision);
    say("  a token: host {:.0f} and {:.0f} us, until the card is done {:.0f} and {:.0f} us\n",
        one.host, shared.host, one.card, shared.card);
  }
}

// --- LoRA on shares of each batch

struct Steps {
  double seconds = 0;  // the median
  int64_t tokens = 0;  // of a step
  lm::NamedParameters parameters{};
};
inline Steps steps_of(const lm::LanguageModel& model, const lm::TrainData& data,
                      const lm::TrainOptions& options) {
  constexpr int64_t warm = 2;
  lm::Trainer trainer(model, data, options);
  std::vector<double> seconds;
  Steps steps;
  trainer.run([&](const lm::TrainEvent& e) {
    if (e.kind == lm::TrainEvent::Kind::step && e.step > warm) seconds.push_back(e.seconds);
    if (e.kind == lm::TrainEvent::Kind::step) steps.tokens = e.computed;
    return lm::TrainNext::more;
  });
  steps.seconds = median(seconds);
  steps.parameters = trainer.parameters();
  return steps;
}
inline void bench_training(const LlamaShape& s) {
  lm::LanguageModel model = random_llama(s);
  lm::LoRAContainer::from(model, lm::LoRAConfiguration{}).load(model);
  lm::TrainData data = random_examples(64, 257);
  for (auto compute : {lm::ComputeIn::float32, lm::ComputeIn::bfloat16}) {
    // Adam would make numbers of equal size of gradients that are nothing but rounding.
    lm::TrainOptions options{.optimizer = "sgd", .learning_rate = 0.01, .steps = 7};
    options.batch_size = 16, options.tokens_at_once = 2048, options.steps_per_eval = options.steps;
    options.compute = compute;
    Steps alone = steps_of(model, data, options);
    options.group = ranks();
    Steps together = steps_of(model, data, options);
    float worst = 0;
    for (const auto& [path, a] : alone.parameters) {
      float most = max(abs(a)).item<float>();
      float off = max(abs(a - together.parameters.at(path))).item<float>();
      worst = std::max(worst, off / std::max(most, 1e-30f));
    }
    say("{}, LoRA steps of {} tokens in {}: {:.0f} and {:.0f} ms, {:.2f} times; the adapter's "
        "numbers to {:.1e}\n",
        s.title, alone.tokens, compute == lm::ComputeIn::float32 ? "float32" : "bfloat16",
        alone.seconds * 1e3, together.seconds * 1e3, alone.seconds / together.seconds, worst);
  }
}

}  // namespace bench
