#include "tarn/lm/parameters.h"

#include "base/require.h"

namespace tarn::lm {

SampleOptions GenerateParameters::sampling() const {
  SampleOptions options{.temperature = temperature,
                        .top_p = top_p,
                        .min_p = min_p,
                        .top_k = top_k,
                        .xtc_probability = xtc_probability,
                        .xtc_threshold = xtc_threshold,
                        .seed = seed};
  check(options);
  return options;
}

CacheOptions GenerateParameters::caching() const {
  CacheOptions options{.dtype = precision == Precision::exact ? float32 : float16,
                       .max_size = max_kv_size.value_or(0),
                       .bits = kv_bits.value_or(0),
                       .group_size = kv_group_size,
                       .quantised_start = quantized_kv_start};
  if (max_kv_size) options.keep = kv_sinks;
  check(options);
  return options;
}

LogitProcessor GenerateParameters::processor(const std::vector<int32_t>& stop_ids) const {
  std::vector<LogitProcessor> all;
  if (!logit_bias.empty()) all.push_back(lm::logit_bias(logit_bias));
  if (repetition_penalty)
    all.push_back(lm::repetition_penalty(*repetition_penalty, repetition_context_size));
  if (presence_penalty)
    all.push_back(lm::presence_penalty(*presence_penalty, presence_context_size));
  if (frequency_penalty)
    all.push_back(lm::frequency_penalty(*frequency_penalty, frequency_context_size));
  if (min_tokens != 0) all.push_back(lm::min_tokens(min_tokens, stop_ids));
  if (thinking) {
    ThinkingBudget budget = *thinking;
    if (!budget.max_answer) budget.max_answer = max_tokens;
    all.push_back(thinking_budget(std::move(budget)));
  }
  all.insert(all.end(), processors.begin(), processors.end());
  return composed(std::move(all));
}

void check(const GenerateParameters& p) {
  require(!p.max_tokens || *p.max_tokens >= 0, "[generate] max_tokens is {}; it must be 0 or more.",
          p.max_tokens.value_or(0));
  require(p.prefill.step_size > 0, "[generate] the prefill's step_size is {}; it must be above 0.",
          p.prefill.step_size);
  require(p.top_log_probabilities >= 0,
          "[generate] top_log_probabilities is {}; it must be 0 or more.", p.top_log_probabilities);
  if (p.speculative) {
    const auto& s = *p.speculative;
    // Up to 15 rows a call, a row's numbers do not depend on how many there are.
    require(s.draft_tokens >= 1 && s.draft_tokens <= 14,
            "[generate] draft_tokens is {}; it must be from 1 to 14.", s.draft_tokens);
    require(s.look_up_tokens >= 1, "[generate] look_up_tokens is {}; it must be 1 or more.",
            s.look_up_tokens);
    require(!p.max_kv_size,
            "[generate] speculative decoding goes back, which a cache of max_kv_size positions "
            "cannot. Leave one of them out.");
  }
  require(!p.max_kv_size || *p.max_kv_size > 0, "[generate] max_kv_size is {}; it must be above 0.",
          p.max_kv_size.value_or(0));
  p.sampling();
  p.caching();
  p.processor({});
}

}  // namespace tarn::lm
