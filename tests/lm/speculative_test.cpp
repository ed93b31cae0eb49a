// Guessed tokens: the answer is the one without them.
#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "lm/generation/draft.h"
#include "tiny_model.h"

namespace tarn_test {
namespace {

class Speculative : public TinyModel {};

TEST(LookUp, WhatFollowedWhereTheLastTokensStoodBefore) {
  using tarn::lm::look_up;
  EXPECT_EQ(look_up(Ids{1, 2, 3, 4, 1, 2}, 3, 2), (Ids{3, 4}));
  EXPECT_EQ(look_up(Ids{1, 2, 3, 4, 1, 2}, 3, 9), (Ids{3, 4, 1, 2}));
  // The longest end wins over a later place of a shorter one; of equal ones the latest.
  EXPECT_EQ(look_up(Ids{5, 1, 2, 7, 2, 8, 1, 2}, 3, 1), (Ids{7}));
  EXPECT_EQ(look_up(Ids{2, 7, 2, 8, 2}, 3, 1), (Ids{8}));
  EXPECT_EQ(look_up(Ids{1, 2, 3}, 3, 4), Ids{});
  EXPECT_EQ(look_up(Ids{1}, 3, 4), Ids{});
  EXPECT_EQ(look_up(Ids{1, 1}, 3, 4), Ids{1});
}

TEST_F(Speculative, ADraftModelChangesNoToken) {
  LanguageModel lm = endless();
  auto same = std::make_shared<const LanguageModel>(lm);
  auto other = std::make_shared<const LanguageModel>(endless({.seed = 2}));
  const Ids prompt = tiny_ids("Once upon a time");
  for (float temperature : {0.0f, 0.8f}) {
    GenerateParameters plain = exact(40);
    plain.temperature = temperature;
    plain.seed = 7;
    plain.repetition_penalty = 1.2f;
    Answer want = collect(generate(lm, prompt, plain));
    EXPECT_EQ(want.info.model_calls, 39);
    for (int guessed : {1, 4, 14})
      for (const auto& draft : {same, other}) {
        GenerateParameters p = plain;
        p.speculative = SpeculativeDecoding{.draft = draft, .draft_tokens = guessed};
        Answer got = collect(generate(lm, prompt, p));
        EXPECT_EQ(got.ids, want.ids) << guessed;
        EXPECT_EQ(got.info.generated_tokens, 40);
        EXPECT_EQ(got.info.model_calls + got.info.accepted_draft_tokens, 39) << guessed;
        EXPECT_GE(got.info.proposed_draft_tokens, got.info.accepted_draft_tokens);
      }
  }
}

TEST_F(Speculative, TheModelItselfAsDraftIsAlwaysRight) {
  LanguageModel lm = endless();
  GenerateParameters p = exact(41);
  p.speculative =
      SpeculativeDecoding{.draft = std::make_shared<const LanguageModel>(lm), .draft_tokens = 4};
  Answer got = collect(generate(lm, tiny_ids("abc"), p));
  EXPECT_EQ(got.info.accepted_draft_tokens, got.info.proposed_draft_tokens);
  EXPECT_EQ(got.info.model_calls, 8);  // 40 tokens after the first, five a call
}

TEST_F(Speculative, PromptLookUpChangesNoTokenAndFindsRepetition) {
  LanguageModel lm = endless();
  for (const char* text : {"abcabcabcabc", "no repetition", "a"}) {
    Answer want = collect(generate(lm, tiny_ids(text), exact(60)));
    GenerateParameters p = exact(60);
    p.speculative = SpeculativeDecoding{};
    Answer got = collect(generate(lm, tiny_ids(text), p));
    EXPECT_EQ(got.ids, want.ids) << text;
    EXPECT_EQ(got.info.model_calls + got.info.accepted_draft_tokens, 59) << text;
  }
  // An answer that repeats itself is guessed.
  GenerateParameters repeating = exact(60);
  repeating.processors = {saying("xyzxyzxyzxyzxyzxyzxyzxyzxyzxyzxyzxyzxyz")};
  repeating.speculative = SpeculativeDecoding{};
  Answer got = collect(generate(lm, tiny_ids("go"), repeating));
  EXPECT_LT(got.info.model_calls, 20);
}

TEST_F(Speculative, TheSessionIsLeftWithTheTokensOfTheAnswer) {
  LanguageModel lm = endless();
  Session session, plain;
  GenerateParameters p = exact(20);
  p.speculative = SpeculativeDecoding{.draft = std::make_shared<const LanguageModel>(lm)};
  Answer first = collect(generate(lm, tiny_ids("one two"), p, &session));
  Answer same = collect(generate(lm, tiny_ids("one two"), exact(20), &plain));
  EXPECT_EQ(session.tokens, plain.tokens);
  Ids next = session.tokens;
  next.push_back(3);
  Answer a = collect(generate(lm, next, exact(8), &session));
  EXPECT_EQ(a.info.cached_tokens, static_cast<int>(next.size()) - 1);
  EXPECT_EQ(a.ids, collect(generate(lm, next, exact(8))).ids);
}

TEST_F(Speculative, StopsWhereAPlainAnswerStops) {
  LanguageModel lm = tiny();
  GenerateParameters p = exact(40);
  p.processors = {saying("abababab")};
  Answer want = collect(generate(lm, tiny_ids("x"), p));
  EXPECT_EQ(want.info.finish_reason, "stop");
  EXPECT_EQ(want.text, "abababab");
  p.speculative = SpeculativeDecoding{};
  Answer got = collect(generate(lm, tiny_ids("x"), p));
  EXPECT_EQ(got.text, want.text);
  EXPECT_EQ(got.info.finish_reason, "stop");
}

TEST_F(Speculative, ErrorsNameTheirReason) {
  LanguageModel lm = tiny();
  auto error = [&](SpeculativeDecoding s, std::optional<int> kv = {}) {
    GenerateParameters p = exact(4);
    p.speculative = std::move(s);
    p.max_kv_size = kv;
    return error_of([&] { generate(lm, {1}, p); });
  };
  EXPECT_EQ(error({.draft_tokens = 0}), "[generate] draft_tokens is 0; it must be from 1 to 14.");
  EXPECT_EQ(error({.draft_tokens = 15}), "[generate] draft_tokens is 15; it must be from 1 to 14.");
  EXPECT_EQ(error({.look_up_tokens = 0}), "[generate] look_up_tokens is 0; it must be 1 or more.");
  EXPECT_EQ(error({}, 16),
            "[generate] speculative decoding goes back, which a cache of max_kv_size positions "
            "cannot. Leave one of them out.");
  auto other = std::make_shared<const LanguageModel>(tiny({.vocabulary = 112, .seed = 3}));
  EXPECT_EQ(error({.draft = other}),
            "[generate] the draft model has a vocabulary of 112 tokens and " + lm.name +
                " one of 128: they must be the same.");
}

}  // namespace
}  // namespace tarn_test
