// The default model beside transformers in float32 (tests/golden/make_model.py made the data), and
// what holds an answer together: cache, plans, cancelling.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <numeric>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "base/json.h"
#include "runtime/eval.h"
#include "tarn/io.h"
#include "tarn/lm.h"
#include "tarn/ops.h"

namespace tarn_test {
namespace {

using namespace tarn::lm;
using tarn::Json;
using tarn::Precision;
using Ids = std::vector<int32_t>;
namespace fs = std::filesystem;

fs::path golden(const std::string& name) {
  return fs::path(__FILE__).parent_path() / "../golden/lm" / name;
}

fs::path model_path() {
  const char* path = std::getenv("TARN_TEST_MODEL");
  return path && *path ? fs::path(path) : default_model_path();
}

bool in_ci() {
  const char* ci = std::getenv("CI");
  return ci && std::string(ci) == "true";
}

// Loaded once for the whole program: the tests only read it.
class DefaultModel : public testing::Test {
 protected:
  void SetUp() override {
    if (fs::exists(model_path())) return;
    if (in_ci()) FAIL() << model_path() << " is missing.";
    GTEST_SKIP() << model_path() << " is missing; tools/fetch_model.py brings it.";
  }
  static const LanguageModel& model() {
    static const LanguageModel lm = load(model_path());
    return lm;
  }
  // It never ends an answer by itself.
  static LanguageModel endless() {
    LanguageModel lm = model();
    lm.stop_ids.clear();
    return lm;
  }
  static const Json& data() {
    static const Json json = tarn::load_json(golden("model.json").string());
    return json;
  }
  static Ids prompt(size_t i) { return data()["prompts"][i]["prompt_ids"].get<Ids>(); }
};

struct Answer {
  Ids ids{};
  std::string text{};
  GenerationInfo info{};
};

Answer collect(Generation generation) {
  Answer a;
  for (const Event& e : generation) {
    a.ids.insert(a.ids.end(), e.ids.begin(), e.ids.end());
    a.text += e.text;
    if (e.kind == Event::Kind::info) a.info = e.info;
  }
  return a;
}

GenerateOptions exact(int max_tokens) {
  GenerateOptions o;
  o.max_tokens = max_tokens;
  o.precision = Precision::exact;
  return o;
}

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
  auto arrays = tarn::load_npz(golden("model_logits.npz").string());
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

// ---- Plans and caches ----

TEST_F(DefaultModel, DecodingKeepsItsPlansAndItsCache) {
  LanguageModel lm = endless();
  Ids start = prompt(18);
  start.resize(20);
  GenerateOptions options;
  options.max_tokens = 1000;
  tarn::clear_plan_cache();
  tarn::EvalCounters before{};
  int tokens = 0;
  for (const Event& e : generate(lm, start, options)) {
    if (tokens == 0) before = tarn::eval_counters();  // the prompt is done
    tokens += static_cast<int>(e.ids.size());
  }
  auto after = tarn::eval_counters();
  ASSERT_EQ(tokens, 1000);
  // Room for 256, 512 and 1024 positions: a plan of the step for each, and two of the growing.
  EXPECT_LE(after.plans_made - before.plans_made, 5u);
  // Keys and values of 30 layers, copied when room grew from 256 and from 512: float16.
  uint64_t grown = (256u + 512u) * 30u * 2u * 3u * 64u * 2u;
  EXPECT_LE(after.bytes_copied_for_updates - before.bytes_copied_for_updates, grown);
}

TEST_F(DefaultModel, SessionComputesOnlyWhatIsNew) {
  std::vector<Message> talk{{"user", "Name three rivers in Europe."}};
  Session session;
  Answer first = collect(generate(model(), model().encode_chat(talk), exact(40), &session));
  EXPECT_EQ(first.info.cached_tokens, 0);
  ASSERT_FALSE(first.text.empty());
  talk.push_back({"assistant", first.text});
  talk.push_back({"user", "Which one is the longest?"});
  Ids next = model().encode_chat(talk);
  auto held = std::mismatch(session.tokens.begin(), session.tokens.end(), next.begin(), next.end());
  auto common = static_cast<int>(held.first - session.tokens.begin());
  EXPECT_GT(common, first.info.prompt_tokens);
  Answer with = collect(generate(model(), next, exact(24), &session));
  Answer without = collect(generate(model(), next, exact(24)));
  EXPECT_EQ(with.info.cached_tokens, common);
  EXPECT_EQ(without.info.cached_tokens, 0);
  EXPECT_EQ(with.ids, without.ids);
  EXPECT_EQ(with.text, without.text);
  // A prompt that has nothing in common: all is computed, and right.
  Answer other = collect(generate(model(), prompt(2), exact(8), &session));
  EXPECT_LE(other.info.cached_tokens, 32);  // the system message that the template puts first
  EXPECT_EQ(other.ids, collect(generate(model(), prompt(2), exact(8))).ids);
}

TEST_F(DefaultModel, AnswerDoesNotDependOnTheSizeOfPrefillSteps) {
  GenerateOptions options = exact(12);
  Answer whole = collect(generate(model(), prompt(18), options));
  for (int step : {1000, 64, 7}) {
    options.prefill_step = step;
    EXPECT_EQ(collect(generate(model(), prompt(18), options)).ids, whole.ids) << step;
  }
}

// ---- Cancelling ----

TEST_F(DefaultModel, StoppedDecodingLeavesTheSessionUsable) {
  Answer want = collect(generate(model(), prompt(0), exact(16)));
  Session session;
  std::stop_source source;
  GenerateOptions options = exact(200);
  options.stop = source.get_token();
  Answer cut;
  for (const Event& e : generate(model(), prompt(0), options, &session)) {
    cut.ids.insert(cut.ids.end(), e.ids.begin(), e.ids.end());
    if (cut.ids.size() >= 5) source.request_stop();
    if (e.kind == Event::Kind::info) cut.info = e.info;
  }
  EXPECT_EQ(cut.info.finish_reason, "cancelled");
  EXPECT_EQ(cut.info.generated_tokens, static_cast<int>(cut.ids.size()));
  EXPECT_LE(cut.ids.size(), 8u);
  Answer again = collect(generate(model(), prompt(0), exact(16), &session));
  EXPECT_EQ(again.info.cached_tokens, again.info.prompt_tokens - 1);
  EXPECT_EQ(again.ids, want.ids);
}

// Stops at many moments of prefill and decode: whatever was in progress, nothing of it stays.
TEST_F(DefaultModel, StoppedAtAnyMomentLeavesTheSessionUsable) {
  Answer want = collect(generate(model(), prompt(18), exact(6)));
  Session session;
  int cancelled = 0;
  double slowest = 0;
  for (int wait : {0, 2, 5, 11, 23, 47, 95, 190}) {
    std::stop_source source;
    GenerateOptions options = exact(400);
    options.stop = source.get_token();
    options.prefill_step = 64;
    std::chrono::steady_clock::time_point asked;
    std::thread other([&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(wait));
      asked = std::chrono::steady_clock::now();
      source.request_stop();
    });
    Answer cut = collect(generate(endless(), prompt(18), options, &session));
    auto ended = std::chrono::steady_clock::now();
    other.join();
    cancelled += cut.info.finish_reason == "cancelled" ? 1 : 0;
    slowest = std::max(slowest, std::chrono::duration<double>(ended - asked).count());
    Answer again = collect(generate(model(), prompt(18), exact(6), &session));
    EXPECT_EQ(again.ids, want.ids) << "after a stop at " << wait << " ms";
    session.pass.truncate(0), session.tokens.clear();
  }
  EXPECT_EQ(cancelled, 8);
  EXPECT_LT(slowest, 1.0);
}

TEST_F(DefaultModel, StopBeforeTheBeginningIsCancelled) {
  std::stop_source source;
  source.request_stop();
  GenerateOptions options = exact(8);
  options.stop = source.get_token();
  Answer none = collect(generate(model(), prompt(0), options));
  EXPECT_EQ(none.info.finish_reason, "cancelled");
  EXPECT_TRUE(none.ids.empty());
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
  GenerateOptions options = exact(12);
  auto cut = some.text.rfind(' ');
  ASSERT_NE(cut, std::string::npos);
  options.stop_strings = {"nowhere in the answer", some.text.substr(cut)};
  Answer stopped = collect(generate(model(), prompt(0), options));
  EXPECT_EQ(stopped.info.finish_reason, "stop");
  EXPECT_EQ(stopped.text, some.text.substr(0, some.text.find(some.text.substr(cut))));
}

TEST_F(DefaultModel, LogProbabilitiesAreThoseOfTheTokens) {
  GenerateOptions options = exact(6);
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

template <class F>
std::string error_of(F f) {
  try {
    f();
  } catch (const tarn::Error& error) {
    return error.message();
  }
  return "no error";
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
