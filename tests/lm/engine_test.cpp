// Many answers at a time, each as it would be alone.
#include "tarn/lm/engine.h"

#include <gtest/gtest.h>

#include <chrono>
#include <csignal>
#include <string>
#include <thread>
#include <vector>

#include "signals.h"
#include "tiny_model.h"

namespace tarn_test {
namespace {

class Batching : public TinyModel {
 protected:
  // Prompts of different lengths that end at different times.
  static Ids prompt(int i) {
    return tiny_ids(std::string(static_cast<size_t>(1 + 7 * i % 40), static_cast<char>('a' + i)));
  }
  static GenerateParameters parameters(int i) {
    GenerateParameters p = exact(4 + 3 * i);
    if (i % 2 == 1) p.temperature = 0.9f, p.seed = i;
    return p;
  }
  // The statistics once nothing is left to do.
  static EngineStatistics idle(const Engine& engine) {
    for (int i = 0; i < 2000; ++i) {
      EngineStatistics s = engine.statistics();
      if (s.active == 0 && s.waiting == 0) return s;
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    ADD_FAILURE() << "the engine does not come to rest";
    return {};
  }
};

TEST_F(Batching, EachAnswerIsTheOneItWouldBeAlone) {
  ModelContainer container(endless());
  for (int together : {1, 3, 8, 15}) {
    Engine engine(container, {.most_answers = together, .prefix_bytes = 0});
    std::vector<Generation> ranges;
    for (int i = 0; i < 15; ++i)
      ranges.push_back(engine.generate(LMInput{prompt(i)}, parameters(i)));
    for (int i = 0; i < 15; ++i) {
      Answer got = collect(ranges[static_cast<size_t>(i)]);
      Answer want = collect(container.generate({prompt(i)}, parameters(i)));
      EXPECT_EQ(got.ids, want.ids) << i << " of " << together;
      EXPECT_EQ(got.text, want.text);
      EXPECT_EQ(got.info.finish_reason, want.info.finish_reason);
      EXPECT_EQ(got.info.generated_tokens, want.info.generated_tokens);
    }
    EngineStatistics s = idle(engine);
    EXPECT_EQ(s.answers, 15u);
    EXPECT_EQ(s.tokens, [] {
      uint64_t n = 0;
      for (int i = 0; i < 15; ++i) n += static_cast<uint64_t>(3 + 3 * i);
      return n;
    }());
    if (together == 15) {
      EXPECT_LT(s.steps, s.tokens / 3);
    } else if (together == 1) {
      EXPECT_EQ(s.steps, s.tokens);
    }
  }
}

TEST_F(Batching, TheThreadTakesNoSignals) {
  ModelContainer container(endless());
  auto before = threads_that_take(SIGTSTP);
  size_t in_all = threads_that_take(SIGBUS).size();
  Engine engine(container);
  EXPECT_EQ(collect(engine.generate(LMInput{prompt(1)}, exact(4))).ids.size(), 4u);
  EXPECT_EQ(threads_that_take(SIGTSTP), before);
  EXPECT_GT(threads_that_take(SIGBUS).size(), in_all);
}

TEST_F(Batching, RequestsComeAndGoWhileOthersAreAnswered) {
  ModelContainer container(endless());
  Engine engine(container);
  auto first = engine.generate(LMInput{prompt(3)}, exact(60));
  auto it = first.begin();
  size_t tokens = it->ids.size();
  for (int i = 0; i < 5; ++i) tokens += (++it)->ids.size();
  Answer second = collect(engine.generate(LMInput{prompt(5)}, exact(10)));
  EXPECT_EQ(second.ids, collect(container.generate({prompt(5)}, exact(10))).ids);
  while (++it != first.end()) tokens += it->ids.size();
  EXPECT_EQ(tokens, 60u);
}

TEST_F(Batching, ACommonBeginningIsComputedOnce) {
  ModelContainer container(endless());
  const Ids beginning = tiny_ids("The same system text for everybody, forty-eight long");
  auto input = [&](int i) {
    Ids ids = beginning;
    ids.push_back(10 + i);
    return LMInput{ids};
  };
  std::vector<Ids> want;
  for (int i = 0; i < 6; ++i) want.push_back(collect(container.generate(input(i), exact(8))).ids);
  Engine engine(container);
  std::vector<Generation> ranges;
  for (int i = 0; i < 6; ++i) ranges.push_back(engine.generate(input(i), exact(8)));
  for (size_t i = 0; i < 6; ++i) EXPECT_EQ(collect(ranges[i]).ids, want[i]) << i;
  EngineStatistics s = idle(engine);
  EXPECT_GE(s.shared_tokens, 4 * beginning.size());
  EXPECT_GT(s.prefixes, 0);
  EXPECT_GT(s.prefix_bytes, 0u);
  // The same prompt again: all but its last token.
  Answer again = collect(engine.generate(input(0), exact(8)));
  EXPECT_EQ(again.info.cached_tokens, static_cast<int>(beginning.size()));
  EXPECT_EQ(again.ids, want[0]);
  engine.clear_prefixes();
  Answer anew = collect(engine.generate(input(0), exact(8)));
  EXPECT_EQ(anew.info.cached_tokens, 0);
}

TEST_F(Batching, PrefixesKeepToTheirBudget) {
  ModelContainer container(endless());
  size_t one = container.model()->model.new_pass().rows.size();
  ASSERT_EQ(one, 1u);
  // A cache of up to 256 positions: 2 layers of keys and values, 1 head of 32 in float32.
  const size_t bytes = 2 * 2 * 256 * 32 * 4;
  Engine engine(container, {.prefix_bytes = 3 * bytes});
  for (int i = 0; i < 6; ++i) collect(engine.generate(LMInput{prompt(i % 6 + 3)}, exact(20)));
  EngineStatistics s = idle(engine);
  EXPECT_EQ(s.prefixes, 3);
  EXPECT_EQ(s.prefix_bytes, 3 * bytes);
}

TEST_F(Batching, WhatAnUnloadedModelMadeGoesWithIt) {
  ModelContainer container(endless());
  Engine engine(container);
  auto prefixes_after = [&](const auto& change) {
    collect(engine.generate(LMInput{prompt(5)}, exact(20)));
    EXPECT_EQ(idle(engine).prefixes, 1);
    change();
    for (int i = 0; i < 2000 && engine.statistics().prefixes > 0; ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    return engine.statistics().prefixes;
  };
  EXPECT_EQ(prefixes_after([&] { container.update([](LanguageModel&) {}); }), 0);
  EXPECT_EQ(prefixes_after([&] { container.load(endless({.seed = 2})); }), 0);
  // Somebody holds the model for longer: until then its prefixes may be used.
  auto held = container.model();
  EXPECT_EQ(prefixes_after([&] {
              container.unload();
              container.load(LanguageModel(*held));
              held = nullptr;
              container.unload();
            }),
            0);
}

TEST_F(Batching, ACancelledAnswerFreesItsPlaceWithinAStep) {
  ModelContainer container(endless({.context = 4096}));
  Engine engine(container, {.most_answers = 2});
  std::stop_source source;
  GenerateParameters stopped = exact(4000);
  stopped.stop = source.get_token();
  auto by_token = engine.generate(LMInput{prompt(1)}, stopped);
  auto it = by_token.begin();
  {
    auto dropped = engine.generate(LMInput{prompt(2)}, exact(4000));
    auto never_read = engine.generate(LMInput{prompt(4)}, exact(4000));
    for (auto at = dropped.begin(); at->text.empty();) ++at;
  }
  // Both places of the dropped ones are free: another comes in beside the first.
  EXPECT_EQ(collect(engine.generate(LMInput{prompt(3)}, exact(5))).ids.size(), 5u);
  source.request_stop();
  std::string reason;
  for (; it != by_token.end(); ++it) reason = it->info.finish_reason;
  EXPECT_EQ(reason, "cancelled");
  EngineStatistics s = idle(engine);
  EXPECT_EQ(s.answers, 4u);
  EXPECT_EQ(s.prefixes, 1);  // of the one that was whole
}

TEST_F(Batching, AnErrorIsThrownFromItsOwnRangeOnly) {
  ModelContainer container(endless());
  Engine engine(container);
  GenerateParameters failing = exact(20);
  failing.processors = {[](const TokensSoFar& tokens, auto) {
    if (tokens.answer().size() == 3) throw tarn::ValueError("the processor's own");
  }};
  auto good = engine.generate(LMInput{prompt(1)}, exact(20));
  auto bad = engine.generate(LMInput{prompt(2)}, failing);
  Ids ids;
  EXPECT_EQ(error_of([&] {
              for (const Event& e : bad) ids.insert(ids.end(), e.ids.begin(), e.ids.end());
            }),
            "the processor's own");
  EXPECT_EQ(ids.size(), 3u);
  EXPECT_EQ(collect(good).ids, collect(container.generate({prompt(1)}, exact(20))).ids);
  EXPECT_EQ(idle(engine).answers, 2u);
}

TEST_F(Batching, AnswersKeepTheModelThatWasPublished) {
  ModelContainer container(endless());
  Ids want = collect(container.generate({prompt(2)}, exact(30))).ids;
  Engine engine(container);
  auto before = engine.generate(LMInput{prompt(2)}, exact(30));
  container.load(endless({.seed = 2}));
  Ids other = collect(container.generate({prompt(2)}, exact(30))).ids;
  auto after = engine.generate(LMInput{prompt(2)}, exact(30));
  container.unload();
  EXPECT_EQ(collect(before).ids, want);
  EXPECT_EQ(collect(after).ids, other);
  EXPECT_NE(want, other);
}

TEST_F(Batching, WhatCannotBeAnsweredIsRefusedAtOnce) {
  ModelContainer container(endless({.context = 4096}));
  EXPECT_EQ(error_of([&] { Engine(container, {.most_answers = 16}); }),
            "[Engine] most_answers is 16; it must be from 1 to 15.");
  EXPECT_EQ(error_of([&] { Engine(container, {.most_waiting = -1}); }),
            "[Engine] most_waiting is -1; it must be 0 or more.");
  Engine engine(container, {.most_answers = 1, .most_waiting = 1});
  EXPECT_EQ(error_of([&] { engine.generate(LMInput{}, exact(1)); }),
            "[generate] the prompt has no tokens.");
  GenerateParameters guessing = exact(1);
  guessing.speculative = SpeculativeDecoding{};
  EXPECT_EQ(error_of([&] { engine.generate(LMInput{prompt(1)}, guessing); }),
            "[Engine] speculative decoding is for one answer at a time. Use lm::generate.");
  auto first = engine.generate(LMInput{prompt(1)}, exact(4000));
  auto it = first.begin();  // it has been admitted
  auto second = engine.generate(LMInput{prompt(2)}, exact(2));
  EXPECT_EQ(error_of([&] { engine.generate(LMInput{prompt(3)}, exact(2)); }),
            "[Engine] 1 answers are being made and 1 wait; no more than 1 may. Try again later.");
  EXPECT_EQ(it->ids.size(), 1u);
}

// Everything at once: requests, cancels, swaps.
TEST_F(Batching, ThreadsAskCancelAndSwapAtOnce) {
  ModelContainer container(endless());
  Engine engine(container, {.most_answers = 4});
  std::vector<std::jthread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < 4; ++i) {
        auto range = engine.generate(LMInput{prompt((t + i) % 5)}, exact(6));
        if ((t + i) % 3 == 0) continue;  // dropped
        EXPECT_EQ(collect(range).ids.size(), 6u);
      }
    });
  threads.emplace_back([&] {
    for (int i = 0; i < 6; ++i) container.update([](LanguageModel& lm) { lm.name += "x"; });
    engine.clear_prefixes();
  });
  threads.clear();
  EXPECT_EQ(idle(engine).answers, 16u);
}

}  // namespace
}  // namespace tarn_test
