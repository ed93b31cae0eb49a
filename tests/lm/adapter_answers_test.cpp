// Answers that choose their adapter, alone, in one batch, and while adapters come and go.
#include <gmock/gmock.h>

#include <atomic>
#include <limits>
#include <thread>

#include "test_seconds.h"
#include "tiny_model.h"

namespace tarn_test {
namespace {

class AdapterAnswers : public TinyModel {
 protected:
  // An adapter with numbers of some size, as a folder.
  fs::path write_adapter(const LanguageModel& lm, const std::string& name, uint64_t seed,
                         const LoRAConfiguration& how = {
                             .lora_parameters = {.rank = 4, .scale = 1}}) {
    LanguageModel copy = lm;
    auto fresh = LoRAContainer::from(lm, how, seed);
    fresh.load(copy);
    tarn::random::KeySequence keys(seed);
    copy.model.parameters([&](const std::string& path, array& a) {
      if (path.ends_with(".lora_b")) a = tarn::random::normal(a.shape(), keys.next());
    });
    fresh.updated_from(copy).save(folder_ / name);
    return folder_ / name;
  }
  // A model with the adapters "a" to "c" on request, of different kinds, and one for all.
  LanguageModel with_adapters(bool one_for_all = true) {
    LanguageModel lm = endless();
    std::vector<LoRAConfiguration> kinds(4, {.lora_parameters = {.rank = 4, .scale = 1}});
    kinds[1].fine_tune_type = "dora";
    kinds[2].lora_parameters.rank = 2;
    kinds[2].lora_parameters.keys = {{"self_attn.q_proj", "mlp.down_proj", "model.embed_tokens"}};
    kinds[3].lora_parameters.keys = {{"self_attn.v_proj"}};
    LanguageModel all = lm;
    for (size_t i = 0; i < (one_for_all ? 4u : 3u); ++i) {
      std::string name(1, static_cast<char>('a' + i));
      LoRAContainer::from(write_adapter(lm, name, 10 + i, kinds[i]))
          .load(all, {.on_request = i < 3});
    }
    return all;
  }
  static GenerateParameters asking(const std::string& name, float weight = 1, int tokens = 12) {
    GenerateParameters p = exact(tokens);
    p.adapter = {name, weight};
    return p;
  }
  static Ids alone(const LanguageModel& lm, const std::string& prompt,
                   const GenerateParameters& p) {
    return collect(generate(lm, tiny_ids(prompt), p)).ids;
  }
};

TEST_F(AdapterAnswers, AChosenAdapterIsTheOneLoadedAlone) {
  LanguageModel base = endless(), all = with_adapters(false);
  for (const char* name : {"a", "b", "c"}) {
    LanguageModel one = base;
    LoRAContainer::from(folder_ / name).load(one);
    EXPECT_EQ(alone(all, "hello", asking(name)), alone(one, "hello", exact(12))) << name;
    EXPECT_NE(alone(all, "hello", asking(name)), alone(base, "hello", exact(12))) << name;
  }
  EXPECT_EQ(alone(all, "hello", exact(12)), alone(base, "hello", exact(12)));
  EXPECT_EQ(alone(all, "hello", asking("a", 0)), alone(base, "hello", exact(12)));
}

TEST_F(AdapterAnswers, OneBatchMixesThem) {
  LanguageModel lm = with_adapters();
  Engine engine{ModelContainer(lm), {.most_answers = 12}};
  std::vector<GenerateParameters> choices;
  for (const char* name : {"a", "", "b", "c", "a", "b", "", "c"}) choices.push_back(asking(name));
  choices.push_back(asking("a", 0.5f));
  choices.push_back(asking("c", 2));
  std::vector<std::string> prompts{"hello", "abc", "x y z"};
  std::vector<Generation> running;
  for (size_t i = 0; i < choices.size(); ++i)
    running.push_back(engine.generate({.tokens = tiny_ids(prompts[i % 3])}, choices[i]));
  std::vector<Ids> answers;
  for (auto& r : running) answers.push_back(collect(r).ids);
  for (size_t i = 0; i < choices.size(); ++i)
    EXPECT_EQ(answers[i], alone(lm, prompts[i % 3], choices[i])) << i;
  // Together: far fewer calls than tokens.
  auto statistics = engine.statistics();
  EXPECT_LT(statistics.steps * 3, statistics.tokens);
}

TEST_F(AdapterAnswers, WhatWasComputedWithAnotherAdapterIsNotUsed) {
  LanguageModel lm = with_adapters();
  Engine engine{ModelContainer(lm)};
  std::string prompt = "a prompt that is longer than what is worth sharing";
  auto ask = [&](const GenerateParameters& p) {
    return collect(engine.generate({.tokens = tiny_ids(prompt)}, p)).ids;
  };
  for (const auto& p : {asking("a"), asking("b"), asking(""), asking("a", 0.5f)})
    EXPECT_EQ(ask(p), alone(lm, prompt, p)) << p.adapter.name;
  EXPECT_EQ(engine.statistics().shared_tokens, 0u);
  EXPECT_EQ(ask(asking("b")), alone(lm, prompt, asking("b")));
  EXPECT_EQ(engine.statistics().shared_tokens, prompt.size() - 1);

  Session session;
  for (const char* name : {"a", "b", "b", ""}) {
    auto p = asking(name);
    EXPECT_EQ(collect(generate(lm, tiny_ids(prompt), p, &session)).ids, alone(lm, prompt, p));
    EXPECT_EQ(session.pass.rows[0].adapter.name, name);
  }
}

TEST_F(AdapterAnswers, AConversationKeepsItsAdapterInAFile) {
  ModelContainer container(with_adapters());
  ChatSession first(container, {.parameters = asking("a")});
  first.respond("hello");
  first.save(folder_ / "chat");
  auto goes_on = [&](const std::string& name) {
    ChatSession again(container, {.parameters = asking(name)});
    again.restore(folder_ / "chat");
    return collect(again.stream("and?"));
  };
  auto with_a = goes_on("a"), with_b = goes_on("b");
  EXPECT_GT(with_a.info.cached_tokens, 5);
  EXPECT_EQ(with_b.info.cached_tokens, 0);
  EXPECT_NE(with_a.ids, with_b.ids);
}

TEST_F(AdapterAnswers, AConversationInAFileOutlivesTheAdaptersOnRequest) {
  LanguageModel bare = endless(), all = with_adapters(false);
  auto saved = [&](const LanguageModel& lm, const std::string& name) {
    ChatSession s(ModelContainer(lm), {.parameters = asking(name)});
    s.respond("hello");
    s.save(folder_ / "chat");
    return s.messages();
  };
  auto goes_on = [&](const LanguageModel& lm, const std::string& name) {
    ChatSession s(ModelContainer(lm), {.parameters = asking(name)});
    s.restore(folder_ / "chat");
    auto messages = s.messages();
    return std::pair{messages, collect(s.stream("and?")).info.cached_tokens};
  };
  auto messages = saved(bare, "");
  EXPECT_EQ(goes_on(all, "").first, messages);
  EXPECT_GT(goes_on(all, "").second, 5);
  messages = saved(all, "a");
  EXPECT_GT(goes_on(all, "a").second, 5);
  EXPECT_EQ(goes_on(bare, ""), std::pair(messages, 0));
  // Another one with the name.
  LanguageModel changed = bare;
  LoRAContainer::from(write_adapter(bare, "another", 99))
      .load(changed, {.name = "a", .on_request = true});
  EXPECT_EQ(goes_on(changed, "a"), std::pair(messages, 0));
  // The same one, scaled.
  LanguageModel scaled = all;
  scaled.model.matrices([](const std::string&, tarn::nn::Matrix& m) {
    for (auto& term : m.low_rank.terms) term.scale *= 2;
  });
  EXPECT_EQ(goes_on(scaled, "a"), std::pair(messages, 0));
}

TEST_F(AdapterAnswers, AnUnknownAdapterIsNamed) {
  LanguageModel lm = with_adapters();
  EXPECT_EQ(error_of([&] { alone(lm, "hello", asking("z")); }),
            "[generate] the model has no adapter \"z\" on request; it has a, b, c.");
  EXPECT_EQ(error_of([&] { alone(lm, "hello", asking("d")); }),
            "[generate] the model has no adapter \"d\" on request; it has a, b, c.");
  EXPECT_EQ(error_of([&] { alone(endless(), "hello", asking("a")); }),
            "[generate] the model has no adapter \"a\" on request; it has none.");
  EXPECT_EQ(
      error_of([&] { alone(lm, "hello", asking("a", std::numeric_limits<float>::infinity())); }),
      "[generate] the weight of adapter \"a\" is inf; a number is needed.");
  Engine engine{ModelContainer(lm)};
  EXPECT_EQ(error_of([&] { engine.generate(UserInput("hello"), asking("z")); }),
            "[generate] the model has no adapter \"z\" on request; it has a, b, c.");
}

// Sixteen threads answer, alone and in a batch, while adapters are put in and taken out, some of
// them broken. Each answer is the one of the model that it began with.
TEST_F(AdapterAnswers, SwapsDisturbNoAnswer) {
  LanguageModel base = with_adapters(false);
  write_adapter(base, "swapped", 99);
  fs::copy(folder_ / "swapped", folder_ / "broken");
  auto [tensors, metadata] =
      tarn::load_safetensors((folder_ / "broken/adapters.safetensors").string());
  tensors.erase(tensors.begin());
  tarn::save_safetensors((folder_ / "broken/adapters.safetensors").string(), tensors);
  auto swapped = LoRAContainer::from(folder_ / "swapped"),
       broken = LoRAContainer::from(folder_ / "broken");

  ModelContainer container(base);
  Engine engine(container);
  LanguageModel with = base;
  swapped.load(with);
  // Of each choice, the answers of both models that are ever published.
  std::vector<GenerateParameters> choices{asking("a", 1, 4), asking("b", 1, 4), exact(4)};
  std::vector<std::vector<Ids>> possible;
  for (const auto& p : choices)
    possible.push_back({alone(base, "hello", p), alone(with, "hello", p)});
  ASSERT_NE(possible[2][0], possible[2][1]);

  std::atomic<int> answers = 0, refused = 0;
  {
    std::vector<std::jthread> threads;
    for (size_t i = 0; i < 16; ++i)
      threads.emplace_back([&, i](const std::stop_token& stop) {
        const auto& p = choices[i % choices.size()];
        while (!stop.stop_requested() || answers == 0) {
          LMInput input{.tokens = tiny_ids("hello")};
          auto ids = collect(i % 2 ? engine.generate(input, p) : container.generate(input, p)).ids;
          EXPECT_THAT(possible[i % choices.size()], testing::Contains(ids));
          ++answers;
        }
      });
    auto end = std::chrono::steady_clock::now() + test_seconds();
    while (std::chrono::steady_clock::now() < end || refused < 2) {
      container.update([&](LanguageModel& lm) { swapped.load(lm); });
      try {
        container.update([&](LanguageModel& lm) { broken.load(lm); });
      } catch (const tarn::ValueError&) {
        ++refused;
      }
      container.update([&](LanguageModel& lm) { swapped.unload(lm); });
    }
  }
  EXPECT_GT(answers, 15);
  EXPECT_EQ(container.model()->adapters.size(), 3u);
}

}  // namespace
}  // namespace tarn_test
