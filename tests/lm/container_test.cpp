// A container: what is published, when, and to whom.
#include "tarn/lm/container.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "memory.h"
#include "tarn/memory.h"
#include "test_seconds.h"
#include "tiny_model.h"

namespace tarn_test {
namespace {

class Container : public TinyModel {};

// A change that answers show: the last norm's weight, which scales all logits, is replaced.
void turn_round(LanguageModel& lm) {
  lm.model.parameters([](const std::string& path, array& a) {
    if (path == "model.layers.1.mlp.down_proj.weight") a = tarn::negative(a);
  });
}

Ids ids_of(const ModelContainer& container, int tokens = 12) {
  return collect(container.generate(container.prepare("hi"), exact(tokens))).ids;
}

TEST_F(Container, PreparesMessagesByTheTemplateAndWithoutOneByBlankLines) {
  LanguageModel lm = tiny();
  ModelContainer container(lm);
  auto text = [&](const UserInput& input) {
    return container.decode(container.prepare(input).tokens);
  };
  EXPECT_EQ(text("hi"), "<|user|>hi<end><|assistant|>");
  EXPECT_EQ(text({{{"system", "s"}, {"user", "u"}}}),
            "<|system|>s<end><|user|>u<end><|assistant|>");
  EXPECT_EQ(container.encode("a<end>"), (Ids{66, tiny_end}));
  container.update([](LanguageModel& m) { m.chat_template.reset(); });
  EXPECT_EQ(text({{{"system", "s"}, {"user", "u<end>"}}}), "s\n\nu<end>");
  // Without a template nothing in a message is a control token.
  auto ids = container.prepare({{{"user", "<end>"}}}).tokens;
  EXPECT_EQ(std::count(ids.begin(), ids.end(), tiny_end), 0);
}

TEST_F(Container, AdditionalContextReachesTheTemplate) {
  LanguageModel lm = tiny();
  lm.chat_template =
      ChatTemplate::parse("{{ mode }}:{{ tools | length }}:{{ messages[0].content }}");
  ModelContainer container(lm);
  UserInput input({{"user", "u"}}, {{.name = "f"}, {.name = "g"}}, R"({"mode": "fast"})");
  EXPECT_EQ(container.decode(container.prepare(input).tokens), "fast:2:u");
  EXPECT_EQ(container.prepare(input).tools.size(), 2u);
  input.additional_context = "[]";
  EXPECT_EQ(error_of([&] { container.prepare(input); }),
            "[chat] the additional context is no JSON object.");
}

TEST_F(Container, UpdatesArePublishedWholeOrNotAtAll) {
  ModelContainer container(endless());
  Ids before = ids_of(container);
  EXPECT_THROW(container.update([](LanguageModel& lm) {
    turn_round(lm);
    throw tarn::ValueError("no");
  }),
               tarn::ValueError);
  EXPECT_EQ(ids_of(container), before);
  container.update(turn_round);
  Ids after = ids_of(container);
  EXPECT_NE(after, before);
  container.update(turn_round);
  EXPECT_EQ(ids_of(container), before);
}

TEST_F(Container, AnAnswerKeepsTheModelItBeganWith) {
  ModelContainer container(endless());
  Ids whole = ids_of(container), ids;
  for (const Event& e : container.generate(container.prepare("hi"), exact(12))) {
    ids.insert(ids.end(), e.ids.begin(), e.ids.end());
    if (ids.size() == 3) container.update(turn_round);
    if (ids.size() == 6) container.unload();
  }
  EXPECT_EQ(ids, whole);
}

TEST_F(Container, CopiesAreTheSameContainerAndUpdatesShareTheWeights) {
  ModelContainer container(endless()), copy = container;
  auto old = container.model();
  size_t before = tarn::get_active_memory();
  copy.update([](LanguageModel& lm) { lm.name = "other"; });
  EXPECT_EQ(container.model()->name, "other");
  EXPECT_EQ(tarn::get_active_memory(), before);
  EXPECT_EQ(container.perform([](const LanguageModel& lm) { return lm.name.size(); }), 5u);
}

TEST_F(Container, ErrorsSayWhatToDo) {
  ModelContainer container(tiny());
  EXPECT_EQ(
      error_of([&] { container.update([&](LanguageModel&) { container.update(turn_round); }); }),
      "[ModelContainer] update was called inside of update. Change the model that update "
      "gives.");
  EXPECT_EQ(error_of([&] { container.update([&](LanguageModel&) { container.unload(); }); }),
            "[ModelContainer] unload was called inside of update. Change the model that update "
            "gives.");
  EXPECT_TRUE(container.is_loaded());
  container.unload();
  EXPECT_FALSE(container.is_loaded());
  const char* gone = "[ModelContainer] the model was unloaded. load() publishes another.";
  EXPECT_EQ(error_of([&] { container.prepare("hi"); }), gone);
  EXPECT_EQ(error_of([&] { container.update(turn_round); }), gone);
  container.load(tiny());
  EXPECT_EQ(error_of([&] { container.prepare("hi"); }), "no error");
}

TEST_F(Container, UnloadingFreesTheWeightsWithTheLastAnswer) {
  auto loads_and_unloads = [this] {
    size_t before = tarn::get_active_memory();
    ModelContainer container(endless());
    container.update([](LanguageModel& lm) {
      lm.model.parameters([](const std::string&, array& a) {
        a = a + array(0.0f);
        a.eval();
      });
    });
    size_t loaded = tarn::get_active_memory();
    EXPECT_GT(loaded, before + 100'000);
    auto range = container.generate(container.prepare("hi"), exact(4));
    auto it = range.begin();
    container.unload();
    EXPECT_GE(tarn::get_active_memory(), loaded);
    while (it != range.end()) ++it;
  };
  loads_and_unloads();
  size_t before = tarn::get_active_memory();
  for (int i = 0; i < 5; ++i) loads_and_unloads();
  // Plans keep memory for their next run; five models would be more than 500,000 bytes.
  EXPECT_LT(tarn::get_active_memory(), before + 100'000);
}

// Another model than the tests' own: weights in memory that no file backs, 60 MB of them.
TEST_F(Container, UnloadingGivesTheMemoryBackToTheSystem) {
  if (!counts_are_ours) GTEST_SKIP() << "A sanitizer holds memory of its own.";
  auto path = write_tiny_model(folder_ / "wide", {.vocabulary = 4096, .hidden = 1024});
  int64_t before_any = settled_bytes();
  auto answers = [&](bool replaces) {
    LanguageModel lm = load(path);
    lm.stop_ids.clear();
    lm.model.parameters([](const std::string&, array& a) {
      a = a + array(0.0f);
      a.eval();
    });
    ModelContainer container(std::move(lm));
    ids_of(container);
    EXPECT_GT(anonymous_bytes(), before_any + 60'000'000);
    replaces ? container.load(tiny()) : container.unload();
    return anonymous_bytes();
  };
  answers(false);  // threads and tables of the process are there now
  int64_t before = settled_bytes();
  for (bool replaces : {false, true}) EXPECT_LT(answers(replaces), before + 3'000'000);
}

// ---- Any number of threads at once ----

class ContainerThreads : public TinyModel {};

// Four answer, two change adapters, one unloads and loads, one looks. Every answer is that of one
// published model, whole.
TEST_F(ContainerThreads, GenerateSwapAndUnloadAtOnce) {
  constexpr int tokens = 3;
  LanguageModel lm = endless();
  ModelContainer container(lm), turned(lm);
  turned.update(turn_round);
  const Ids one = ids_of(container, tokens), other = ids_of(turned, tokens);
  ASSERT_NE(one, other);
  auto end = std::chrono::steady_clock::now() + test_seconds();
  std::atomic<int> answers{0}, seen_one{0}, seen_other{0}, updates{0}, unloads{0};
  // On a busy machine it may take a while until each has met a model.
  auto is_over = [&, late = end + std::chrono::minutes(1)] {
    auto now = std::chrono::steady_clock::now();
    return now >= (answers > 0 && updates > 0 && unloads > 0 ? end : late);
  };
  auto repeat = [&](auto f) {
    return std::jthread([&, f] {
      do {
        try {
          f();
        } catch (const tarn::ValueError& error) {
          EXPECT_EQ(std::string(error.message()),
                    "[ModelContainer] the model was unloaded. load() publishes another.");
        }
      } while (!is_over());
    });
  };
  std::vector<std::jthread> threads;
  for (int i = 0; i < 4; ++i)
    threads.push_back(repeat([&] {
      Ids ids = ids_of(container, tokens);
      ++answers;
      seen_one += ids == one;
      seen_other += ids == other;
    }));
  for (int i = 0; i < 2; ++i)
    threads.push_back(repeat([&] {
      container.update(turn_round);
      ++updates;
    }));
  threads.push_back(repeat([&] {
    container.unload();
    std::this_thread::yield();
    container.load(lm);
    ++unloads;
  }));
  threads.push_back(repeat([&] { container.perform([](const auto& m) { return m.name; }); }));
  threads.clear();
  EXPECT_GT(answers, 0);
  EXPECT_GT(updates, 0);
  EXPECT_GT(unloads, 0);
  EXPECT_EQ(answers, seen_one + seen_other);
}

}  // namespace
}  // namespace tarn_test
