#include "tarn/lm/evaluate.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/require.h"
#include "base/trim.h"
#include "lm/train/shuffle.h"
#include "lm/train/step.h"
#include "tarn/lm/generate.h"
#include "tarn/stop.h"

namespace tarn::lm {
namespace {

int64_t bytes_of(const LanguageModel& lm, const TrainSample& s) {
  int64_t bytes = 0;
  for (size_t i = 0; i < s.ids.size(); ++i)
    if (s.counts[i] && !lm.tokenizer.is_special(s.ids[i]))
      bytes += static_cast<int64_t>(lm.tokenizer.token_bytes(s.ids[i]).size());
  return bytes;
}

bool answers_exactly(const LanguageModel& lm, const TrainSample& s, const EvaluateOptions& o) {
  size_t end = s.ids.size();
  while (end > 0 && !s.counts[end - 1]) --end;
  size_t begin = end;
  while (begin > 0 && s.counts[begin - 1]) --begin;
  std::vector<int32_t> prompt(s.ids.begin(), s.ids.begin() + static_cast<int64_t>(begin));
  GenerateParameters parameters{.max_tokens = o.max_tokens, .temperature = 0, .stop = o.stop};
  parameters.precision = Precision::exact;
  std::string answer;
  for (const Event& event : generate(lm, prompt, parameters)) {
    answer += event.text;
    if (event.kind == Event::Kind::info && event.info.finish_reason == "cancelled")
      throw Cancelled("[evaluate] stopped.");
  }
  auto wanted = std::span(s.ids).subspan(begin, end - begin);
  return trimmed(answer) == trimmed(lm.tokenizer.decode(wanted, true));
}

}  // namespace

std::vector<SampleLoss> evaluate(const LanguageModel& lm, const TrainSet& set,
                                 const EvaluateOptions& options) {
  StopScope scope(options.stop);
  require(options.batch_size >= 1, "[evaluate] batch_size is {}; it must be at least 1.",
          options.batch_size);
  BatchLosses losses(lm.model, ComputeIn::float32);
  std::vector<SampleLoss> all(set.samples.size());
  size_t done = 0;
  for (const Rows& rows : plain_batches(set, options.batch_size)) {
    auto some = losses({}, set, rows);
    for (size_t i = 0; i < rows.size(); ++i) {
      all[rows[i]] = some[i];
      all[rows[i]].bytes = bytes_of(lm, set.samples[rows[i]]);
    }
    done += rows.size();
    if (options.progress) options.progress(done, all.size());
  }
  return all;
}

double mean_loss(const std::vector<SampleLoss>& losses) {
  double sum = 0;
  int64_t tokens = 0;
  for (const SampleLoss& l : losses) sum += l.loss, tokens += l.tokens;
  return tokens > 0 ? sum / static_cast<double>(tokens) : 0;
}

double bits_per_byte(const std::vector<SampleLoss>& losses) {
  double sum = 0;
  int64_t bytes = 0;
  for (const SampleLoss& l : losses) sum += l.loss, bytes += l.bytes;
  return bytes > 0 ? sum / std::numbers::ln2 / static_cast<double>(bytes) : 0;
}

std::vector<double> exact_matches(const LanguageModel& lm, const TrainSet& set,
                                  const EvaluateOptions& options) {
  std::vector<double> all;
  for (const TrainSample& s : set.samples) {
    all.push_back(answers_exactly(lm, s, options) ? 1 : 0);
    if (options.progress) options.progress(all.size(), set.samples.size());
  }
  return all;
}

Interval bootstrap(size_t n, const std::function<double(const std::vector<size_t>&)>& statistic,
                   int rounds, uint64_t seed) {
  require(n > 0 && rounds > 0, "[bootstrap] {} examples in {} rounds: at least one is needed.", n,
          rounds);
  Random64 random(seed);
  std::vector<double> values;
  std::vector<size_t> places(n);
  for (int i = 0; i < rounds; ++i) {
    for (size_t& p : places) p = random.below(n);
    values.push_back(statistic(places));
  }
  std::sort(values.begin(), values.end());
  auto at = [&](double share) {
    return values[static_cast<size_t>(std::lround(share * static_cast<double>(rounds - 1)))];
  };
  return {at(0.025), at(0.975)};
}

}  // namespace tarn::lm
