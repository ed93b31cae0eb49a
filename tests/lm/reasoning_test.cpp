// Thoughts told from answers: by the reader alone, and as events of a model that is made to say
// what the test wants.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tiny_model.h"

namespace tarn_test {
namespace {

using Part = ReasoningReader::Part;
using Parts = std::vector<Part>;

// Neighbours of one kind joined.
void add(Parts& to, const Parts& more) {
  for (const Part& part : more) {
    if (!to.empty() && to.back().is_thought == part.is_thought)
      to.back().text += part.text;
    else
      to.push_back(part);
  }
}

// The same however the text is cut.
Parts read(const std::string& text, bool inside = false, const Reasoning& marks = {}) {
  Parts whole;
  for (size_t piece : {text.size() + 1, size_t{1}, size_t{3}, size_t{7}}) {
    ReasoningReader reader(marks, inside);
    Parts parts;
    for (size_t at = 0; at < text.size(); at += piece)
      add(parts, reader.feed(std::string_view(text).substr(at, piece)));
    add(parts, reader.finish());
    if (piece > text.size()) whole = parts;
    EXPECT_EQ(parts, whole) << text << " in pieces of " << piece;
  }
  return whole;
}

TEST(Reasoning, ThoughtsAreToldFromAnswers) {
  EXPECT_EQ(read("<think>so</think>yes"), (Parts{{"so", true}, {"yes", false}}));
  EXPECT_EQ(read("a<think>b</think>c<think>d"),
            (Parts{{"a", false}, {"b", true}, {"c", false}, {"d", true}}));
  EXPECT_EQ(read("so</think>yes", true), (Parts{{"so", true}, {"yes", false}}));
  EXPECT_EQ(read("no thought, </think> is text"), (Parts{{"no thought, </think> is text", false}}));
  EXPECT_EQ(read("1 <thin 2 <think"), (Parts{{"1 <thin 2 <think", false}}));
  EXPECT_EQ(read("<think></think>"), Parts{});
  EXPECT_EQ(read(""), Parts{});
}

TEST(Reasoning, ATextThatEndsAThoughtMayStay) {
  Reasoning marks{.also_end = {"<tool_call>"}};
  EXPECT_EQ(read("<think>so<tool_call>{}</tool_call>", false, marks),
            (Parts{{"so", true}, {"<tool_call>{}</tool_call>", false}}));
}

TEST(Reasoning, OnlyWhatMayBecomeAMarkIsHeldBack) {
  ReasoningReader reader({});
  EXPECT_EQ(reader.feed("a <th"), (Parts{{"a ", false}}));
  EXPECT_EQ(reader.feed("e"), (Parts{{"<the", false}}));
  EXPECT_EQ(reader.feed("<think>x</"), (Parts{{"x", true}}));
  EXPECT_EQ(reader.feed("b>"), (Parts{{"</b>", true}}));
}

TEST(Reasoning, EmptyMarksAreRefused) {
  EXPECT_EQ(error_of<tarn::ValueError>([] { ReasoningReader({.begin = ""}); }),
            "[reasoning] the mark that begins a thought is empty.");
  EXPECT_EQ(error_of<tarn::ValueError>([] { ReasoningReader({.end = ""}); }),
            "[reasoning] a mark that ends a thought is empty.");
  EXPECT_EQ(error_of<tarn::ValueError>([] {
              ReasoningReader({.also_end = {"x", ""}});
            }),
            "[reasoning] a mark that ends a thought is empty.");
}

class ReasoningEvents : public TinyModel {
 protected:
  // An answer that is this text, with its thoughts apart.
  GenerateParameters thinking(const std::string& text) {
    GenerateParameters p = exact(200);
    p.processors = {saying(text)};
    p.reasoning = Reasoning{};
    return p;
  }
};

TEST_F(ReasoningEvents, ComeApartAndLoseNoToken) {
  LanguageModel lm = tiny();
  std::string said = "<think>2 + 2</think>It is 4.";
  std::string thought, answer;
  Ids ids;
  for (const Event& e : generate(lm, tiny_ids("2 + 2?"), thinking(said))) {
    (e.kind == Event::Kind::reasoning ? thought : answer) += e.text;
    ids.insert(ids.end(), e.ids.begin(), e.ids.end());
  }
  EXPECT_EQ(thought, "2 + 2");
  EXPECT_EQ(answer, "It is 4.");
  EXPECT_EQ(ids, tiny_ids(said));
}

TEST_F(ReasoningEvents, AreTextWhereNobodyAsks) {
  std::string said = "<think>2 + 2</think>It is 4.";
  GenerateParameters p = thinking(said);
  p.reasoning.reset();
  EXPECT_EQ(collect(generate(tiny(), tiny_ids("2 + 2?"), p)).text, said);
}

TEST_F(ReasoningEvents, AThoughtMayHaveBegunInThePrompt) {
  LanguageModel lm = tiny();
  EXPECT_EQ(text_of(generate(lm, tiny_ids("2 + 2?<think>\n"), thinking("hm</think>4"))), "4");
  EXPECT_EQ(text_of(generate(lm, tiny_ids("<think>a</think>2?"), thinking("hm</think>4"))),
            "hm</think>4");
}

TEST_F(ReasoningEvents, AreNoPartOfAConversation) {
  LanguageModel lm = tiny();
  ChatSession session(ModelContainer(lm), {.parameters = thinking("<think>hm</think>4")});
  EXPECT_EQ(session.respond("2 + 2?"), "4");
  EXPECT_EQ(session.messages().back(), (Message{.role = "assistant", .content = "4"}));
}

TEST_F(ReasoningEvents, MarksAreThoseOfTheTemplate) {
  LanguageModel lm = tiny();
  EXPECT_FALSE(reasoning_of(lm));
  lm.chat_template = ChatTemplate::parse("{{ m.split('[/THINK]')[-1] }}");
  ASSERT_TRUE(reasoning_of(lm));
  EXPECT_EQ(reasoning_of(lm)->begin, "[THINK]");
  EXPECT_EQ(reasoning_of(lm)->end, "[/THINK]");
}

}  // namespace
}  // namespace tarn_test
