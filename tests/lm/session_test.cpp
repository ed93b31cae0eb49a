// What holds an answer together, with the default model: cache, plans, sessions, cancelling.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "base/text.h"
#include "default_model.h"
#include "runtime/eval.h"

namespace tarn_test {
namespace {

class DefaultModelSession : public DefaultModel {};

// ---- Plans and caches ----

TEST_F(DefaultModelSession, DecodingKeepsItsPlansAndItsCache) {
  LanguageModel lm = endless();
  Ids start = prompt(18);
  start.resize(20);
  GenerateParameters options{.max_tokens = 1000, .temperature = 0};
  tarn::clear_plan_cache();
  tarn::EvalCounters before{};
  int tokens = 0;
  for (const Event& e : generate(lm, start, options)) {
    if (tokens == 0) before = tarn::eval_counters();  // the prompt is done
    tokens += static_cast<int>(e.ids.size());
  }
  auto after = tarn::eval_counters();
  ASSERT_EQ(tokens, 1000);
  fmt::print("1000 tokens: {} plans made, {} bytes of the cache copied\n",
             after.plans_made - before.plans_made,
             after.bytes_copied_for_updates - before.bytes_copied_for_updates);
  // Room for 256, 512 and 1024 positions: a plan of the step for each, and two of the growing.
  EXPECT_LE(after.plans_made - before.plans_made, 5u);
  // Keys and values of 30 layers, copied when room grew from 256 and from 512: float16.
  uint64_t grown = (256u + 512u) * 30u * 2u * 3u * 64u * 2u;
  EXPECT_LE(after.bytes_copied_for_updates - before.bytes_copied_for_updates, grown);
}

// The likeliest token of each row, one row after the other.
Ids likeliest(const tarn::array& logits) {
  tarn::array best = tarn::astype(tarn::argmax(logits, -1), tarn::int32);
  tarn::array flat = tarn::reshape(best, {-1});
  return {flat.data<int32_t>(), flat.data<int32_t>() + flat.size()};
}

// Rows of different lengths together: a prompt is computed while others decode, a row ends before
// the others do, and each gives what it gives alone.
TEST_F(DefaultModelSession, RowsOfABatchGiveWhatTheyGiveAlone) {
  constexpr size_t rows = 3, steps = 5;
  std::vector<Ids> want;
  for (size_t row = 0; row < rows; ++row) {
    Answer answer = collect(generate(endless(), prompt(row), exact(2 * steps)));
    want.push_back(answer.ids);
  }
  tarn::PrecisionScope scope(Precision::exact);
  const Model& m = model().model;
  Pass pass = m.new_pass({}, 2);
  auto run = [&](const std::vector<Ids>& parts) {
    Ids all;
    pass.counts.clear();
    for (const Ids& p : parts) {
      all.insert(all.end(), p.begin(), p.end());
      pass.counts.push_back(static_cast<int64_t>(p.size()));
    }
    return likeliest(
        m(tarn::array(all.begin(), tarn::Shape{1, static_cast<int64_t>(all.size())}, tarn::int32),
          pass));
  };
  std::vector<Ids> got(rows);
  Ids next = run({prompt(0), prompt(1)});
  got[0].push_back(next[0]), got[1].push_back(next[1]);
  for (size_t i = 1; i < steps; ++i) {
    next = run({{next[0]}, {next[1]}});
    got[0].push_back(next[0]), got[1].push_back(next[1]);
  }
  pass.rows.push_back(m.new_cache());
  next = run({{next[0]}, {next[1]}, prompt(2)});
  for (size_t row = 0; row < rows; ++row) got[row].push_back(next[row]);
  pass.rows.erase(pass.rows.begin());  // the first row ends
  for (size_t i = 1; i < steps; ++i) {
    pass.counts.clear();  // a token for each
    tarn::array column({got[1].back(), got[2].back()}, {2, 1}, tarn::int32);
    next = likeliest(m(column, pass));
    got[1].push_back(next[0]), got[2].push_back(next[1]);
  }
  for (size_t row = 0; row < rows; ++row) {
    ASSERT_GE(got[row].size(), steps);
    EXPECT_EQ(got[row], Ids(want[row].begin(),
                            want[row].begin() + static_cast<std::ptrdiff_t>(got[row].size())));
  }
}

TEST_F(DefaultModelSession, SessionComputesOnlyWhatIsNew) {
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

TEST_F(DefaultModelSession, CopiedSessionsGoOnApart) {
  Session session;
  collect(generate(model(), prompt(0), exact(4), &session));
  auto before = tarn::eval_counters().bytes_copied_for_updates;
  Session other = session;
  Ids to_one = session.tokens, to_other = session.tokens;
  to_one.push_back(100), to_other.push_back(200);
  Answer one = collect(generate(model(), to_one, exact(6), &session));
  EXPECT_GT(tarn::eval_counters().bytes_copied_for_updates, before);  // `other` needs its own
  Answer another = collect(generate(model(), to_other, exact(6), &other));
  EXPECT_EQ(one.info.cached_tokens, one.info.prompt_tokens - 1);
  EXPECT_EQ(another.info.cached_tokens, another.info.prompt_tokens - 1);
  EXPECT_EQ(one.ids, collect(generate(model(), to_one, exact(6))).ids);
  EXPECT_EQ(another.ids, collect(generate(model(), to_other, exact(6))).ids);
}

TEST_F(DefaultModelSession, SessionOfTheOtherPrecisionBeginsAnew) {
  Session session;
  GenerateParameters balanced = exact(4);
  balanced.precision = Precision::balanced;
  collect(generate(model(), prompt(0), balanced, &session));
  Answer other = collect(generate(model(), prompt(0), exact(4), &session));
  EXPECT_EQ(other.info.cached_tokens, 0);
  Answer again = collect(generate(model(), prompt(0), exact(4), &session));
  EXPECT_EQ(again.info.cached_tokens, again.info.prompt_tokens - 1);
}

TEST_F(DefaultModelSession, AnswerDoesNotDependOnTheSizeOfPrefillSteps) {
  GenerateParameters options = exact(12);
  Answer whole = collect(generate(model(), prompt(18), options));
  for (int step : {1000, 64, 7}) {
    options.prefill.step_size = step;
    EXPECT_EQ(collect(generate(model(), prompt(18), options)).ids, whole.ids) << step;
  }
}

// ---- Cancelling ----

TEST_F(DefaultModelSession, StoppedDecodingLeavesTheSessionUsable) {
  Answer want = collect(generate(model(), prompt(0), exact(16)));
  Session session;
  std::stop_source source;
  GenerateParameters options = exact(200);
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

// The part of the prompt that was under way is computed by who goes on from it, and by nobody else.
TEST_F(DefaultModelSession, StoppedPromptsCostTheNextAnswerNothing) {
  auto stopped = [&] {
    Session session;
    std::stop_source source;
    GenerateParameters options = exact(6);
    options.stop = source.get_token();
    options.prefill = {.step_size = 64,
                       .chunking = PrefillParameters::Chunking::remainder,
                       .progress = [&](int done, int) {
                         if (done >= 128) source.request_stop();
                       }};
    collect(generate(model(), prompt(18), options, &session));
    EXPECT_EQ(session.tokens.size(), 128u);
    EXPECT_EQ(session.unfinished, 64u);
    return session;
  };
  Session session = stopped();
  Answer other = collect(generate(model(), prompt(0), exact(6), &session));
  EXPECT_EQ(other.info.cached_tokens, 0);
  EXPECT_EQ(other.ids, collect(generate(model(), prompt(0), exact(6))).ids);
  EXPECT_EQ(session.unfinished, 0u);
  session = stopped();
  Answer same = collect(generate(model(), prompt(18), exact(6), &session));
  EXPECT_EQ(same.info.cached_tokens, 128);
  EXPECT_EQ(same.ids, collect(generate(model(), prompt(18), exact(6))).ids);
}

// Stops at many moments of prefill and decode: whatever was in progress, nothing of it stays.
TEST_F(DefaultModelSession, StoppedAtAnyMomentLeavesTheSessionUsable) {
  Answer want = collect(generate(model(), prompt(18), exact(6)));
  Session session;
  int cancelled = 0;
  double slowest = 0;
  for (int wait : {0, 3, 11, 31, 95}) {
    std::stop_source source;
    GenerateParameters options = exact(400);
    options.stop = source.get_token();
    options.prefill.step_size = 64;
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
  EXPECT_EQ(cancelled, 5);
  EXPECT_LT(slowest, 1.0);
}

// Milliseconds from a stop, asked for `wait` ms after the beginning, to the end of `work`.
template <class F>
double milliseconds_to_stop(int wait, F work) {
  std::stop_source source;
  std::chrono::steady_clock::time_point asked;
  std::jthread other([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(wait));
    asked = std::chrono::steady_clock::now();
    source.request_stop();
  });
  work(source.get_token());
  auto ended = std::chrono::steady_clock::now();
  other.join();
  return std::chrono::duration<double, std::milli>(ended - asked).count();
}

// The median of five: others may hold the processor for a moment.
template <class F>
double median_to_stop(int wait, F work) {
  std::vector<double> all;
  for (int i = 0; i < 5; ++i) all.push_back(milliseconds_to_stop(wait, work));
  std::sort(all.begin(), all.end());
  return all[2];
}

TEST_F(DefaultModelSession, AStopTakesEffectWithin50Milliseconds) {
  double loading = median_to_stop(3, [](std::stop_token stop) {
    EXPECT_THROW(load(model_path(), {.stop = stop}), tarn::Cancelled);
  });
  Ids long_prompt;
  while (long_prompt.size() < 2000) {
    Ids part = prompt(18);
    long_prompt.insert(long_prompt.end(), part.begin(), part.end());
  }
  LanguageModel lm = endless();
  auto answering = [&](const Ids& ids) {
    return [&](std::stop_token stop) {
      GenerateParameters p{.max_tokens = 5000, .temperature = 0, .stop = stop};
      EXPECT_EQ(collect(generate(lm, ids, p)).info.finish_reason, "cancelled");
    };
  };
  double prefill = median_to_stop(20, answering(long_prompt));
  double decoding = median_to_stop(200, answering(prompt(0)));
  fmt::print("stopped after {:.1f} ms of loading, {:.1f} of the prompt, {:.1f} of decoding\n",
             loading, prefill, decoding);
  // Sanitizers make everything some twenty times slower.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  double most = 1000;
#else
  double most = 50;
#endif
  EXPECT_LT(loading, most);
  EXPECT_LT(prefill, most);
  EXPECT_LT(decoding, most);
}

TEST_F(DefaultModelSession, StopBeforeTheBeginningIsCancelled) {
  std::stop_source source;
  source.request_stop();
  GenerateParameters options = exact(8);
  options.stop = source.get_token();
  Answer none = collect(generate(model(), prompt(0), options));
  EXPECT_EQ(none.info.finish_reason, "cancelled");
  EXPECT_TRUE(none.ids.empty());
}

}  // namespace
}  // namespace tarn_test
