#include "lm/generation/draft.h"

#include <algorithm>

#include "base/require.h"

namespace tarn::lm {
namespace {

class LookUpDraft final : public Draft {
 public:
  explicit LookUpDraft(int longest) : longest_(static_cast<size_t>(longest)) {}
  std::vector<int32_t> guess(std::span<const int32_t> tokens, size_t count) override {
    return look_up(tokens, longest_, count);
  }

 private:
  size_t longest_;
};

// A smaller model, greedily. Tokens of its guesses that were not taken are forgotten by prefill().
class ModelDraft final : public Draft {
 public:
  ModelDraft(std::shared_ptr<const LanguageModel> model, const GenerateParameters& judged)
      : model_(std::move(model)),
        parameters_{.prefill = {.step_size = judged.prefill.step_size},
                    .stop = judged.stop,
                    .precision = judged.precision} {}

  std::vector<int32_t> guess(std::span<const int32_t> tokens, size_t count) override {
    std::vector<int32_t> ids;
    int cached = 0;
    array logits = decoder_.prefill(tokens, cached);
    while (true) {
      row_.assign(logits.data<float>(), logits.data<float>() + logits.shape(-1));
      ids.push_back(greedy_.pick(row_));
      if (ids.size() == count) return ids;
      logits = decoder_.forward({&ids.back(), 1});
    }
  }

 private:
  std::shared_ptr<const LanguageModel> model_;
  GenerateParameters parameters_;
  Session session_{};
  Decoder decoder_{*model_, parameters_, session_};
  Sampler greedy_{SampleOptions{}};
  std::vector<float> row_{};
};

}  // namespace

std::vector<int32_t> look_up(std::span<const int32_t> tokens, size_t longest, size_t count) {
  for (size_t n = std::min(longest, tokens.size() - 1); n > 0; --n) {
    auto end = tokens.last(n);
    for (size_t behind : {std::min(count, tokens.size()), size_t{1}}) {
      auto before = tokens.first(tokens.size() - behind);
      auto at = std::find_end(before.begin(), before.end(), end.begin(), end.end());
      if (at == before.end()) continue;
      auto from = static_cast<size_t>(at - before.begin()) + n;
      auto found = tokens.subspan(from, std::min(count, tokens.size() - from));
      return {found.begin(), found.end()};
    }
  }
  return {};
}

std::unique_ptr<Draft> make_draft(const LanguageModel& model,
                                  const GenerateParameters& parameters) {
  const SpeculativeDecoding& s = *parameters.speculative;
  if (!s.draft) return std::make_unique<LookUpDraft>(s.look_up_tokens);
  auto mine = model.model.shape().vocabulary, other = s.draft->model.shape().vocabulary;
  require(mine == other,
          "[generate] the draft model has a vocabulary of {} tokens and {} one of {}: they must be "
          "the same.",
          other, model.name, mine);
  return std::make_unique<ModelDraft>(s.draft, parameters);
}

}  // namespace tarn::lm
