// Conversations: what is remembered, kept, rolled back, dropped and saved.
#include "tarn/lm/chat_session.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tiny_model.h"

namespace tarn_test {
namespace {

class Chat : public TinyModel {
 protected:
  static ChatSessionOptions saying_always(const std::string& text) {
    ChatSessionOptions options{.parameters = exact(200)};
    options.parameters.processors = {saying(text)};
    return options;
  }
  static std::vector<std::string> contents(const ChatSession& session) {
    std::vector<std::string> all;
    for (const auto& m : session.messages()) all.push_back(m.role + ": " + m.content);
    return all;
  }
  using Texts = std::vector<std::string>;
};

TEST_F(Chat, AnswersJoinTheMessagesAndOnlyWhatIsNewIsComputed) {
  ModelContainer container(tiny());
  ChatSession session(container, saying_always("yes"));
  EXPECT_EQ(session.respond("one?"), "yes");
  Answer second = collect(session.stream("two?"));
  EXPECT_EQ(second.text, "yes");
  EXPECT_EQ(contents(session),
            (Texts{"user: one?", "assistant: yes", "user: two?", "assistant: yes"}));
  // <|user|>one?<end><|assistant|>yes was known: 11 tokens, of which the last was never computed.
  EXPECT_EQ(second.info.cached_tokens, 10);
  EXPECT_EQ(second.info.prompt_tokens, 18);
  EXPECT_EQ(session.remembered_tokens(), 21u);
  // The same as without memory.
  ChatSession anew(container, saying_always("yes"), session.messages());
  EXPECT_EQ(anew.respond("three?"), session.respond("three?"));
  session.clear();
  EXPECT_TRUE(session.messages().empty());
  EXPECT_EQ(session.remembered_tokens(), 0u);
}

TEST_F(Chat, RememberedAndFreshConversationsGiveTheSameTokens) {
  ModelContainer container(endless());
  ChatSession session(container, {.parameters = exact(9)});
  session.respond("a");
  session.respond("b");
  ChatSession anew(container, {.parameters = exact(9)}, session.messages());
  Answer known = collect(session.stream("c")), fresh = collect(anew.stream("c"));
  EXPECT_EQ(known.ids, fresh.ids);
  EXPECT_GT(known.info.cached_tokens, 0);
  EXPECT_EQ(fresh.info.cached_tokens, 0);
}

TEST_F(Chat, InstructionsMayChangeBetweenAnswers) {
  ChatSession session(ModelContainer(tiny()), saying_always("ok"));
  session.options().instructions = "be kind";
  session.respond("one?");
  session.options().instructions = "be brief";
  Answer second = collect(session.stream("two?"));
  EXPECT_EQ(second.info.cached_tokens, 4);  // <|system|>be and a space
  EXPECT_EQ(contents(session).size(), 4u);  // instructions are no message
}

TEST_F(Chat, AForkGoesOnApart) {
  ChatSession one(ModelContainer(tiny()), saying_always("ok"));
  one.respond("a");
  ChatSession other = one.fork();
  EXPECT_EQ(collect(other.stream("b")).info.cached_tokens, 6);
  EXPECT_EQ(one.messages().size(), 2u);
  EXPECT_EQ(other.messages().size(), 4u);
  EXPECT_EQ(collect(one.stream("c")).info.cached_tokens, 6);
}

TEST_F(Chat, AnotherPublishedModelRemembersNothing) {
  ModelContainer container(tiny());
  ChatSession session(container, saying_always("ok"));
  session.respond("a");
  container.update([](LanguageModel& lm) { lm.name = "with an adapter"; });
  EXPECT_EQ(collect(session.stream("b")).info.cached_tokens, 0);
  EXPECT_EQ(session.messages().size(), 4u);
}

TEST_F(Chat, OneAnswerAtATime) {
  ChatSession session(ModelContainer(tiny()), saying_always("ok"));
  const char* busy =
      "[ChatSession] an answer is still being made; a session makes one at a time. Use fork() or "
      "another session.";
  {
    Generation range = session.stream("a");
    EXPECT_EQ(error_of([&] { session.respond("b"); }), busy);
    EXPECT_EQ(error_of([&] { session.clear(); }), busy);
  }
  EXPECT_EQ(session.respond("b"), "ok");
  EXPECT_EQ(session.respond_async("c").get(), "ok");
  EXPECT_EQ(error_of([&] { session.stream(std::vector<Message>()); }),
            "[ChatSession] there is no message to answer.");
}

TEST_F(Chat, ADroppedRangeIsKeptAsFarAsItCame) {
  ChatSession session(ModelContainer(tiny()), saying_always("abcdef"));
  { Generation never_begun = session.stream("one?"); }
  EXPECT_TRUE(session.messages().empty());
  std::string text;
  for (const Event& e : session.stream("two?")) {
    text += e.text;
    if (text.size() == 3) break;
  }
  EXPECT_EQ(contents(session), (Texts{"user: two?", "assistant: abc"}));
  EXPECT_EQ(session.respond("on"), "abcdef");
}

TEST_F(Chat, AStoppedAnswerIsKeptAndOneThatDidNotBeginIsNot) {
  ChatSession session(ModelContainer(tiny()), saying_always("abcdef"));
  std::stop_source source;
  session.options().parameters.stop = source.get_token();
  Answer cut;
  for (const Event& e : session.stream("one?")) {
    cut.text += e.text;
    if (cut.text.size() == 2) source.request_stop();
    if (e.kind == Event::Kind::info) cut.info = e.info;
  }
  EXPECT_EQ(cut.info.finish_reason, "cancelled");
  EXPECT_EQ(contents(session), (Texts{"user: one?", "assistant: ab"}));
  Answer none = collect(session.stream("two?"));
  EXPECT_EQ(none.info.finish_reason, "cancelled");
  EXPECT_EQ(session.messages().size(), 2u);
}

TEST_F(Chat, AFailedAnswerLeavesTheConversationAsItWas) {
  ChatSession session(ModelContainer(tiny()), saying_always("ok"));
  session.respond("one?");
  session.options().parameters.processors.push_back([](const TokensSoFar& tokens, auto) {
    if (!tokens.answer().empty()) throw tarn::ValueError("the processor's own");
  });
  EXPECT_EQ(error_of([&] { session.respond("two?"); }), "the processor's own");
  EXPECT_EQ(session.messages().size(), 2u);
  session.options().parameters.processors.pop_back();
  EXPECT_EQ(session.respond("two?"), "ok");
}

// ---- Tools ----

const char* const call_f = R"(<tool_call>{"name": "f", "arguments": {"x": 1}}</tool_call>)";

// Calls f until there is an answer of a tool in the prompt, then says `text`.
LogitProcessor calling_then(const std::string& call, const std::string& text, size_t rounds) {
  return [=](const TokensSoFar& tokens, std::span<float> logits) {
    auto prompt = tokens.all.first(tokens.prompt);
    auto results = static_cast<size_t>(std::count(prompt.begin(), prompt.end(), tiny_tool));
    saying(results < rounds ? call : text)(tokens, logits);
  };
}

ChatSessionOptions with_tools(LogitProcessor processor) {
  ChatSessionOptions options{.parameters = exact(200), .tools = {{.name = "f"}}};
  options.parameters.processors = {std::move(processor)};
  return options;
}

TEST_F(Chat, ToolsAreCalledUntilThereIsAnAnswer) {
  LanguageModel lm = tiny({.context = 1024});
  lm.tool_call_format = ToolCallFormat::json;
  ChatSession session(ModelContainer(lm), with_tools(calling_then(call_f, "done", 2)));
  int calls = 0;
  session.options().tool_dispatch = [&](const ToolCall& call) {
    EXPECT_EQ(call.name, "f");
    EXPECT_EQ(call.arguments, R"({"x":1})");
    if (++calls == 2) throw tarn::ValueError("too often");
    return std::string("result");
  };
  Answer answer = collect(session.stream("go"));
  EXPECT_EQ(answer.text, "done");
  EXPECT_EQ(answer.calls.size(), 2u);
  EXPECT_EQ(answer.info.generated_tokens, static_cast<int>(2 * std::string(call_f).size() + 4));
  EXPECT_EQ(contents(session), (Texts{"user: go", "assistant: ", "tool: result",
                                      "assistant: ", "tool: error: too often", "assistant: done"}));
  EXPECT_EQ(session.messages()[1].tool_calls.size(), 1u);
  EXPECT_EQ(session.messages()[2].name, "f");
}

TEST_F(Chat, WithoutADispatchCallsAreEventsAndTheCallerGoesOn) {
  LanguageModel lm = tiny({.context = 1024});
  lm.tool_call_format = ToolCallFormat::json;
  ChatSession session(ModelContainer(lm), with_tools(calling_then(call_f, "done", 1)));
  Answer call = collect(session.stream("go"));
  ASSERT_EQ(call.calls.size(), 1u);
  EXPECT_EQ(call.text, "");
  EXPECT_EQ(session.respond({{.role = "tool", .content = "result", .name = "f"}}), "done");
  EXPECT_EQ(session.messages().size(), 4u);
}

TEST_F(Chat, CallsThatNeverEndAndCallsThatCannotBeRead) {
  LanguageModel lm = tiny({.context = 2048});
  lm.tool_call_format = ToolCallFormat::json;
  ChatSession session(ModelContainer(lm), with_tools(calling_then(call_f, "", 99)));
  session.options().tool_dispatch = [](const ToolCall&) { return std::string("more"); };
  session.options().most_tool_rounds = 3;
  EXPECT_EQ(error_of([&] { session.respond("go"); }),
            "[ChatSession] the model called tools 3 times in a row. Allow more with "
            "most_tool_rounds.");
  EXPECT_TRUE(session.messages().empty());
  session.options().tool_dispatch = nullptr;
  session.options().parameters.processors = {
      saying(R"(<tool_call>{"name": "g", "arguments": {}}</tool_call>)")};
  EXPECT_EQ(error_of([&] { session.respond("go"); }),
            "[ChatSession] the model's call could not be read (undeclared_tool): There is no tool "
            "`g`; there are: f.");
  EXPECT_TRUE(session.messages().empty());
  int rejected = 0;
  for (const Event& e : session.stream("go")) rejected += e.kind == Event::Kind::rejected_tool_call;
  EXPECT_EQ(rejected, 1);
}

// ---- A conversation that no longer fits ----

TEST_F(Chat, OverflowIsAnErrorWithBothNumbers) {
  ChatSession session(ModelContainer(tiny({.context = 64})), saying_always("ok"));
  EXPECT_EQ(error_of([&] { session.respond(std::string(70, 'x')); }),
            "[chat] with this message the conversation has 73 tokens and the model's context 64: "
            "the message must be shorter.");
  session.respond(std::string(30, 'x'));
  EXPECT_EQ(error_of([&] { session.respond(std::string(30, 'x')); }),
            "[chat] with this message the conversation has 69 tokens and the model's context 64: "
            "begin a new one, or let an overflow policy drop its oldest turns.");
  EXPECT_EQ(session.messages().size(), 2u);
}

TEST_F(Chat, TheOldestTurnsAreDropped) {
  ChatSessionOptions options = saying_always("ok");
  options.instructions = "s";
  options.overflow = {.policy = Overflow::Policy::drop_oldest, .room = 10};
  ChatSession session(ModelContainer(tiny({.context = 64})), options);
  for (int i = 0; i < 6; ++i) EXPECT_EQ(session.respond("question" + std::to_string(i)), "ok");
  EXPECT_EQ(session.messages().size(), 12u);
  // 3 for the instructions, 15 a turn, 12 for the open one: three whole turns do not fit.
  EXPECT_EQ(session.dropped_messages(), 6u);
  EXPECT_EQ(error_of([&] { session.respond(std::string(70, 'x')); }),
            "[chat] with this message the conversation has 76 tokens and the model's context 64: "
            "the message must be shorter.");
  EXPECT_EQ(session.dropped_messages(), 6u);
}

TEST_F(Chat, TheWindowSlides) {
  ChatSessionOptions options = saying_always("ok");
  options.overflow = {.policy = Overflow::Policy::sliding_window, .window = 48};
  ChatSession session(ModelContainer(tiny({.context = 64})), options);
  for (int i = 0; i < 8; ++i) EXPECT_EQ(session.respond("question" + std::to_string(i)), "ok");
  EXPECT_EQ(session.messages().size(), 16u);
  EXPECT_GT(session.remembered_tokens(), 100u);
}

}  // namespace
}  // namespace tarn_test
