// Conversations as files.
#include <gtest/gtest.h>

#include <string>

#include "tarn/io.h"
#include "tarn/lm/chat_session.h"
#include "tiny_model.h"

namespace tarn_test {
namespace {

class ChatFile : public TinyModel {
 protected:
  static ChatSessionOptions saying_always(const std::string& text) {
    ChatSessionOptions options{.parameters = exact(200)};
    options.parameters.processors = {saying(text)};
    return options;
  }
};

TEST_F(ChatFile, AConversationGoesOnFromAFile) {
  LanguageModel lm = endless();
  ChatSession session(ModelContainer(lm), {.parameters = exact(9)});
  session.respond("one?");
  session.save(folder_ / "talk.safetensors");
  ChatSession other{ModelContainer(endless()), {.parameters = exact(9)}};  // loaded anew
  other.restore(folder_ / "talk.safetensors");
  EXPECT_EQ(other.messages(), session.messages());
  EXPECT_EQ(other.remembered_tokens(), session.remembered_tokens());
  Answer here = collect(session.stream("two?")), there = collect(other.stream("two?"));
  EXPECT_EQ(there.ids, here.ids);
  EXPECT_EQ(there.info.cached_tokens, here.info.cached_tokens);
  EXPECT_GT(there.info.cached_tokens, 0);
}

TEST_F(ChatFile, AnEmptyConversationIsAFileAsWell) {
  ChatSession session(ModelContainer(tiny()), saying_always("ok"),
                      {{"user", "a"}, {.role = "assistant", .tool_calls = {{"f", "{}", "1"}}}});
  session.options().instructions = "Say ok.";
  session.save(folder_ / "talk.safetensors");
  ChatSession other(ModelContainer(tiny()), saying_always("ok"));
  other.restore(folder_ / "talk.safetensors");
  EXPECT_EQ(other.messages(), session.messages());
  EXPECT_EQ(other.options().instructions, "Say ok.");
}

TEST_F(ChatFile, FilesOfOtherModelsAndDamagedOnesAreRefused) {
  std::string file = (folder_ / "talk.safetensors").string();
  ChatSession session(ModelContainer(tiny()), saying_always("ok"));
  session.respond("a");
  session.save(file);
  LanguageModel wrong = tiny({.seed = 2});
  ChatSession other(ModelContainer(wrong), saying_always("ok"), {{"user", "kept"}});
  auto error = [&](ChatSession& s) {
    std::string text = error_of([&] { s.restore(file); });
    size_t at = text.find(file);
    return at == std::string::npos ? text : text.replace(at, file.size(), "FILE");
  };
  EXPECT_EQ(error(other),
            "[ChatSession] FILE belongs to the model model-1, and this is model-2 with other "
            "weights. Load that model, or begin a new conversation.");
  EXPECT_EQ(other.messages().size(), 1u);
  auto [arrays, metadata] = tarn::load_safetensors(file);
  std::string key = "0.tarn.chat", chat = metadata.at(key);
  auto with = [&](const std::string& from, const std::string& to) {
    auto changed = metadata;
    std::string text = chat;
    text.replace(text.find(from), from.size(), to);
    changed[key] = text;
    tarn::save_safetensors(file, arrays, changed);
    return error(session);
  };
  EXPECT_EQ(with("\"version\":1", "\"version\":9"),
            "[ChatSession] FILE has version 9 of the form, this build reads 1.");
  EXPECT_EQ(with("\"tokens\":[", "\"tokens\":[1,"),
            "[ChatSession] FILE: the conversation has 7 tokens and its cache 6.");
  EXPECT_EQ(with("\"dropped\":0", "\"dropped\":99"),
            "[ChatSession] FILE: 99 of 2 messages cannot have been dropped.");
  EXPECT_EQ(with("\"dtype\":\"float32\"", "\"dtype\":\"text\""),
            "[ChatSession] FILE: `text` is no type of a cache.");
  EXPECT_EQ(with("\"role\"", "\"roll\""),
            "[ChatSession] FILE: the conversation is damaged: [json.exception.out_of_range.403] "
            "key 'role' not found.");
  metadata.erase(key);
  tarn::save_safetensors(file, arrays, metadata);
  EXPECT_EQ(error(session), "[ChatSession] FILE is a prompt cache without a conversation.");
  EXPECT_EQ(session.messages().size(), 2u);
}

}  // namespace
}  // namespace tarn_test
