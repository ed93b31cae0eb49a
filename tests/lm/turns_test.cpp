// Answers on a device, most of whose tokens are given to it without a graph, are those of steps
// that are recorded: no binding may be older than what it stands for.
#include <gtest/gtest.h>

#include <functional>
#include <optional>
#include <stop_token>
#include <vector>

#include "runtime/eval.h"
#include "runtime/second_memory.h"
#include "tiny_model.h"

namespace tarn_test {
namespace {

class DeviceAnswers : public TinyModel {
 protected:
  void SetUp() override {
    TinyModel::SetUp();
    has_card_ = tarn::is_available(tarn::Device::gpu);
    if (has_card_) return;
    if (std::getenv("TARN_NEEDS_CARD")) FAIL() << "there is no card here";
    tarn::stand_in_for_gpu(&whole_stand_in());
  }
  void TearDown() override {
    if (!has_card_) tarn::stand_in_for_gpu(nullptr);
    tarn::clear_plan_cache();
    TinyModel::TearDown();
  }

  static uint64_t followed() { return tarn::eval_counters().turns_followed; }
  // Ids of an answer on the device. With `records`, somebody holds the session's caches between two
  // tokens, so that each step is recorded.
  static Ids answer(const LanguageModel& lm, const Ids& prompt, const GenerateParameters& options,
                    bool records, Session& session,
                    const std::function<void(size_t)>& between = nullptr) {
    tarn::StreamContext context{tarn::Device::gpu};
    Ids ids;
    std::optional<Pass> held;
    for (const Event& e : generate(lm, prompt, options, &session)) {
      ids.insert(ids.end(), e.ids.begin(), e.ids.end());
      if (records) held = session.pass;
      if (between && !e.ids.empty()) between(ids.size());
    }
    return ids;
  }
  static Ids answer(const LanguageModel& lm, const Ids& prompt, const GenerateParameters& options,
                    bool records = false) {
    Session session{.pass = lm.model.new_pass(options.caching())};
    return answer(lm, prompt, options, records, session);
  }

  bool has_card_ = false;
};

const Ids question = tiny_ids("What is the time?");

TEST_F(DeviceAnswers, AreThoseOfRecordedStepsWhileCachesGrow) {
  LanguageModel lm = endless({.context = 1024});
  for (auto precision : {Precision::exact, Precision::balanced}) {
    GenerateParameters options{.max_tokens = 600, .temperature = 0, .precision = precision};
    Ids want = answer(lm, question, options, true);
    ASSERT_EQ(want.size(), 600u);
    uint64_t before = followed();
    EXPECT_EQ(answer(lm, question, options), want);
    // Room for 256, 512 and 1024 positions: each plan is learned once.
    EXPECT_GE(followed() - before, 560u);
  }
}

TEST_F(DeviceAnswers, AreThoseOfRecordedStepsWhenAWindowGoesRound) {
  LanguageModel lm = endless({.context = 1024});
  GenerateParameters options = exact(150);
  options.max_kv_size = 40, options.kv_sinks = 4;
  auto on = [&](tarn::Device d) {
    tarn::StreamContext context{d};
    return collect(generate(lm, question, options)).ids;
  };
  uint64_t before = followed();
  EXPECT_EQ(on(tarn::Device::gpu), on(tarn::Device::cpu));
  EXPECT_GE(followed() - before, 60u);
}

TEST_F(DeviceAnswers, QuantisedCachesAreRecorded) {
  LanguageModel lm = endless();
  GenerateParameters options = exact(80);
  options.kv_bits = 8, options.kv_group_size = 32, options.quantized_kv_start = 40;
  EXPECT_EQ(answer(lm, question, options), answer(lm, question, options, true));
}

TEST_F(DeviceAnswers, SessionsThatAlternateDoNotMix) {
  LanguageModel lm = endless();
  const GenerateParameters options = exact(60);
  const std::vector<Ids> prompts{question, tiny_ids("Where?"), tiny_ids("Who is it that asks?")};
  std::vector<Ids> want, got(prompts.size());
  for (const Ids& prompt : prompts) want.push_back(answer(lm, prompt, options, true));
  tarn::StreamContext context{tarn::Device::gpu};
  std::vector<Generation> all;
  for (const Ids& prompt : prompts) all.push_back(generate(lm, prompt, options));
  std::vector<Generation::Iterator> at;
  for (Generation& g : all) at.push_back(g.begin());
  uint64_t before = followed();
  for (bool some = true; some;) {
    some = false;
    for (size_t i = 0; i < all.size(); ++i) {
      if (at[i] == all[i].end()) continue;
      got[i].insert(got[i].end(), at[i]->ids.begin(), at[i]->ids.end());
      ++at[i];
      some = true;
    }
  }
  EXPECT_EQ(got, want);
  EXPECT_GE(followed() - before, 100u);
}

// Each answer goes on where the one before ended, or was cancelled.
TEST_F(DeviceAnswers, SessionsGoOnAfterEveryEnd) {
  LanguageModel lm = endless({.context = 1024});
  auto talk = [&](bool records) {
    Ids all;
    Session session{.pass = lm.model.new_pass(exact(1).caching())};
    Ids prompt = question;
    for (size_t stop_at : {1000, 17, 1000, 30, 9}) {
      std::stop_source stop;
      GenerateParameters options = exact(40);
      options.stop = stop.get_token();
      Ids ids = answer(lm, prompt, options, records, session, [&](size_t tokens) {
        if (tokens >= stop_at) stop.request_stop();
      });
      prompt.insert(prompt.end(), ids.begin(), ids.end());
      prompt.push_back(tiny_id('!'));
      all.insert(all.end(), ids.begin(), ids.end());
    }
    return all;
  };
  Ids want = talk(true);
  uint64_t before = followed();
  EXPECT_EQ(talk(false), want);
  EXPECT_GE(followed() - before, 60u);
}

// Parameters are values that may be replaced between two tokens.
TEST_F(DeviceAnswers, WeightsThatAreReplacedAreThoseOfTheNextStep) {
  auto talk = [&](bool records) {
    LanguageModel lm = endless();
    Session session{.pass = lm.model.new_pass(exact(1).caching())};
    return answer(lm, question, exact(60), records, session, [&](size_t tokens) {
      if (tokens != 30) return;
      lm.model.norms([](const std::string&, tarn::nn::RMSNorm& norm) {
        norm.weight = norm.weight * array(-1.0f, tarn::float32);
        norm.weight.eval();
      });
    });
  };
  Ids want = talk(true);
  EXPECT_EQ(talk(false), want);
}

// What somebody holds of a session is as it was.
TEST_F(DeviceAnswers, ACopyOfASessionKeepsItsCaches) {
  LanguageModel lm = endless();
  Session session{.pass = lm.model.new_pass(exact(1).caching())};
  std::optional<Session> copy;
  Ids ids = answer(lm, question, exact(60), false, session, [&](size_t tokens) {
    if (tokens == 30) copy = session;
  });
  Ids prompt = question;
  prompt.insert(prompt.end(), ids.begin(), ids.begin() + 30);
  Ids again = answer(lm, prompt, exact(30), false, *copy);
  EXPECT_EQ(again, Ids(ids.begin() + 30, ids.end()));
}

}  // namespace
}  // namespace tarn_test
