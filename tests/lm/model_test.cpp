// The default model beside transformers in float32; how answers end.
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/text.h"
#include "default_model.h"
#include "tarn/io.h"

namespace tarn_test {
namespace {

double perplexity(const LanguageModel& lm, const Json& golden, Precision precision) {
  auto tokens = golden["tokens"].get<Ids>();
  auto window = golden["window"].get<size_t>();
  std::vector<double> all;
  for (size_t at = 0; at + 1 < tokens.size(); at += window) {
    Ids part(tokens.begin() + static_cast<std::ptrdiff_t>(at),
             tokens.begin() + static_cast<std::ptrdiff_t>(std::min(at + window, tokens.size())));
    if (part.size() < 2) continue;
    auto scores = token_log_probabilities(lm, part, precision);
    all.insert(all.end(), scores.begin(), scores.end());
  }
  EXPECT_EQ(all.size(), golden["predicted"].get<size_t>());
  return std::exp(-std::accumulate(all.begin(), all.end(), 0.0) / static_cast<double>(all.size()));
}

// ---- The same numbers as transformers ----

TEST_F(DefaultModel, PromptsAreThoseOfTheTemplateAndTheVocabulary) {
  for (const Json& p : data()["prompts"]) {
    std::vector<Message> messages;
    for (const Json& m : p["messages"])
      messages.push_back(
          {.role = m["role"].get<std::string>(), .content = m["content"].get<std::string>()});
    EXPECT_EQ(model().render(messages), p["text"].get<std::string>());
    EXPECT_EQ(model().encode_chat(messages), p["prompt_ids"].get<Ids>());
  }
}

// The largest difference between logits (1, 1, vocabulary) and prompt i of the golden data.
double logit_error(const tarn::array& logits, size_t i,
                   const std::unordered_map<std::string, tarn::array>& golden) {
  const float* got = logits.data<float>();
  double worst = 0;
  auto compare = [&](const int32_t* ids, const float* want, int64_t count) {
    for (int64_t j = 0; j < count; ++j)
      worst = std::max(worst, std::abs(double{got[ids[j]]} - double{want[j]}));
  };
  auto row = static_cast<int64_t>(i);
  const auto &sampled = golden.at("sampled"), &top = golden.at("top_logits");
  int64_t count = sampled.shape(1), best = top.shape(1);
  compare(golden.at("indices").data<int32_t>(), sampled.data<float>() + row * count, count);
  compare(golden.at("top_ids").data<int32_t>() + row * best, top.data<float>() + row * best, best);
  return worst;
}

// Smallest, largest, mean and sum of the exponentials of all logits.
std::vector<double> summary(const tarn::array& logits) {
  const float* l = logits.data<float>();
  double low = l[0], high = l[0], sum = 0, exponentials = 0;
  auto count = static_cast<size_t>(logits.shape(-1));
  for (size_t i = 0; i < count; ++i) {
    low = std::min(low, double{l[i]}), high = std::max(high, double{l[i]});
    sum += l[i], exponentials += std::exp(double{l[i]});
  }
  return {low, high, sum / static_cast<double>(count), exponentials};
}

TEST_F(DefaultModel, ExactModeGivesTheLogitsAndTokensOfTransformers) {
  auto arrays = tarn::load_npz(golden("lm/model_logits.npz").string());
  size_t count = data()["prompts"].size(), same = 0;
  ASSERT_EQ(count, 20u);
  double worst = 0;
  for (size_t i = 0; i < count; ++i) {
    const Json& p = data()["prompts"][i];
    Session session{.tokens = prompt(i), .pass = model().model.new_pass()};
    {
      tarn::PrecisionScope scope(Precision::exact);
      tarn::array ids(session.tokens.begin(),
                      tarn::Shape{1, static_cast<int64_t>(session.tokens.size())}, tarn::int32);
      tarn::array logits = model().model(ids, session.pass);
      ASSERT_EQ(logits.shape(), (tarn::Shape{1, 1, model().model.shape().vocabulary}));
      double error = logit_error(logits, i, arrays);
      EXPECT_LE(error, 2e-3) << "prompt " << i;
      worst = std::max(worst, error);
      auto got = summary(logits);
      const double* want = arrays.at("summary").data<double>() + 4 * i;
      for (size_t j = 0; j < 3; ++j) EXPECT_NEAR(got[j], want[j], 2e-3) << "prompt " << i;
      EXPECT_NEAR(got[3] / want[3], 1, 2e-3) << "prompt " << i;
    }
    Answer answer = collect(generate(model(), prompt(i), exact(48), &session));
    EXPECT_EQ(answer.info.cached_tokens + 1, answer.info.prompt_tokens);
    auto want = p["answer"].get<Ids>();
    if (answer.ids == want && (answer.info.finish_reason == "stop") == p["stopped"].get<bool>())
      ++same;
    else
      fmt::print("prompt {} differs; the closest choice there is {} apart\n", i,
                 p["smallest_margin"].get<double>());
  }
  fmt::print("{} of {} answers the same, logits within {:.2g}\n", same, count, worst);
  EXPECT_GE(same, 19u);
}

TEST_F(DefaultModel, PerplexityOfBothPrecisions) {
  const Json& golden = data()["perplexity"];
  double want = golden["value"].get<double>();
  double in_exact = perplexity(model(), golden, Precision::exact);
  double in_balanced = perplexity(model(), golden, Precision::balanced);
  fmt::print("perplexity: transformers {:.4f}, exact {:.4f}, balanced {:.4f}\n", want, in_exact,
             in_balanced);
  EXPECT_NEAR(in_exact / want, 1, 1e-4);
  EXPECT_NEAR(in_balanced / in_exact, 1, 0.01);
}

// ---- Ends of answers, errors ----

TEST_F(DefaultModel, FinishReasons) {
  Answer none = collect(generate(model(), prompt(0), exact(0)));
  EXPECT_EQ(none.info.finish_reason, "length");
  EXPECT_EQ(none.text, "");
  Answer some = collect(generate(model(), prompt(0), exact(12)));
  EXPECT_EQ(some.info.finish_reason, "length");
  ASSERT_EQ(some.ids.size(), 12u);
  EXPECT_EQ(some.text, model().tokenizer.decode(some.ids));
  GenerateParameters options = exact(12);
  auto cut = some.text.rfind(' ');
  ASSERT_NE(cut, std::string::npos);
  options.stop_strings = {"nowhere in the answer", some.text.substr(cut)};
  Answer stopped = collect(generate(model(), prompt(0), options));
  EXPECT_EQ(stopped.info.finish_reason, "stop");
  EXPECT_EQ(stopped.text, some.text.substr(0, some.text.find(some.text.substr(cut))));
}

TEST_F(DefaultModel, LogProbabilitiesAreThoseOfTheTokens) {
  GenerateParameters options = exact(6);
  options.log_probabilities = true;
  Ids ids = prompt(0);
  std::vector<double> got;
  for (const Event& e : generate(model(), ids, options)) {
    ids.insert(ids.end(), e.ids.begin(), e.ids.end());
    got.insert(got.end(), e.log_probs.begin(), e.log_probs.end());
  }
  ASSERT_EQ(got.size(), 6u);
  auto all = token_log_probabilities(model(), ids, Precision::exact);
  ASSERT_EQ(all.size() + 1, ids.size());
  for (size_t i = 0; i < 6; ++i) EXPECT_NEAR(got[i], all[all.size() - 6 + i], 1e-3);
}

TEST_F(DefaultModel, ErrorsNameTheirReason) {
  auto context = static_cast<size_t>(model().model.shape().context);
  EXPECT_EQ(error_of([&] { generate(model(), Ids(context + 1, 1)); }),
            fmt::format("[generate] the prompt has {} tokens and the model's context {}. Shorten "
                        "the prompt or clear the conversation.",
                        context + 1, context));
  EXPECT_EQ(error_of([&] { generate(model(), {}); }), "[generate] the prompt has no tokens.");
  EXPECT_EQ(error_of([&] { generate(model(), {49152}); }),
            "[generate] token 49152 is outside the vocabulary of 49152.");
  EXPECT_EQ(error_of([&] { generate(model(), {-1}); }),
            "[generate] token -1 is outside the vocabulary of 49152.");
  EXPECT_EQ(error_of([&] { generate(model(), {1}, exact(-1)); }),
            "[generate] max_tokens is -1; it must be 0 or more.");
  EXPECT_EQ(error_of([&] { token_log_probabilities(model(), {1}); }),
            "[token_log_probabilities] 1 tokens; at least 2 are needed.");
}

}  // namespace
}  // namespace tarn_test
