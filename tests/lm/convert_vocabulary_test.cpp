// Vocabularies that go from folders to GGUF files and back: what is read says what it said.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "default_model.h"
#include "small_models.h"
#include "tarn/lm.h"

namespace tarn_test {
namespace {

using namespace tarn::lm;

const std::vector<std::string> texts{"the other there", " in  the  thin air", "é\n\tthe", "",
                                     "</s> hatter them"};
// Behind a token of the user's own, tokenizer.json begins a text anew and SentencePiece does not.
const std::string with_own = "a <tool> them";

// SentencePiece's BPE as a tokenizer.json: characters, merges, and bytes for all else.
std::string scored_tokenizer() {
  Json vocabulary, added = Json::array(), merges = Json::array();
  int next = 0;
  auto add = [&](const std::string& token) { vocabulary[token] = next++; };
  for (const char* special : {"<unk>", "<s>", "</s>", "<tool>"}) {
    added.push_back({{"id", next},
                     {"content", special},
                     {"special", std::string(special) != "<tool>"},
                     {"normalized", false},
                     {"lstrip", false},
                     {"rstrip", false},
                     {"single_word", false}});
    add(special);
  }
  for (const char* byte : {"<0x09>", "<0x0A>", "<0xC3>", "<0xA9>", "<0x3C>", "<0x2F>", "<0x3E>"})
    add(byte);
  add("▁");
  for (char c = 'a'; c <= 'z'; ++c) add(std::string(1, c));
  auto merge = [&](const std::string& left, const std::string& right) {
    merges.push_back(left + " " + right);
    add(left + right);
  };
  merge("t", "h"), merge("i", "n"), merge("th", "e"), merge("▁", "the"), merge("▁", "in");
  merge("e", "r"), merge("▁the", "r"), merge("▁", "▁");
  return Json{{"added_tokens", added},
              {"normalizer",
               {{"type", "Sequence"},
                {"normalizers",
                 {{{"type", "Prepend"}, {"prepend", "▁"}},
                  {{"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", "▁"}}}}}},
              {"model",
               {{"type", "BPE"},
                {"unk_token", "<unk>"},
                {"fuse_unk", true},
                {"byte_fallback", true},
                {"vocab", vocabulary},
                {"merges", merges}}},
              {"decoder", {{"type", "Fuse"}}}}
      .dump();
}

class ConvertVocabulary : public SmallModels {
 protected:
  static void expect_same(const Tokenizer& a, const Tokenizer& b) {
    for (const std::string& text : texts) {
      EXPECT_EQ(a.encode(text), b.encode(text)) << text;
      EXPECT_EQ(a.encode(text, {.parse_special = false}), b.encode(text, {.parse_special = false}))
          << text;
    }
    EXPECT_EQ(a.bos(), b.bos());
    EXPECT_EQ(a.eos(), b.eos());
  }
};

TEST_F(ConvertVocabulary, SentencePieceBecomesAFileOfItsOwn) {
  Json config = about()["llama"]["given"];
  config["bos_token_id"] = 1, config["eos_token_id"] = 2;
  fs::path from = write("llama", config, small_weights(about()["llama"]));
  write_text(from / "tokenizer.json", scored_tokenizer());
  write_text(from / "tokenizer_config.json",
             R"({"bos_token": "<s>", "eos_token": "</s>", "chat_template": "{{ messages }}"})");
  fs::path file = folder_ / "llama.gguf", back = folder_ / "back", again = folder_ / "again.gguf";
  convert(from, file, {});
  convert(file, back, {});
  convert(back, again, {});
  LanguageModel first = load(from), second = load(file), third = load(back), fourth = load(again);
  EXPECT_FALSE(fs::exists(back / "tokenizer.json"));
  expect_same(first.tokenizer, second.tokenizer);
  expect_same(second.tokenizer, third.tokenizer);
  expect_same(third.tokenizer, fourth.tokenizer);
  EXPECT_EQ(second.tokenizer.encode(with_own), third.tokenizer.encode(with_own));
  EXPECT_EQ(third.tokenizer.encode(with_own), fourth.tokenizer.encode(with_own));
  for (const LanguageModel* lm : {&first, &second, &third, &fourth}) {
    ASSERT_TRUE(lm->chat_template.has_value());
    EXPECT_EQ(lm->chat_template->source(), "{{ messages }}");
    EXPECT_EQ(lm->stop_ids, (std::vector<int32_t>{2}));
  }
}

// ---- With the default model ----

class DefaultModelVocabulary : public DefaultModel {};

TEST_F(DefaultModelVocabulary, ComesBackAsATokenizerJson) {
  fs::path to = fs::temp_directory_path() / fmt::format("tarn-vocabulary-{}", getpid());
  fs::remove_all(to);
  convert(model_path(), to, {});
  LanguageModel lm = load(to);
  std::vector<std::string> all = texts;
  all.push_back("It's 2024: naïve café, 東京 — <|im_start|>user\nHI  there<|im_end|>\r\n\n  x=1;");
  for (const std::string& text : all) {
    EXPECT_EQ(lm.tokenizer.encode(text), model().tokenizer.encode(text)) << text;
    EXPECT_EQ(lm.tokenizer.decode(lm.tokenizer.encode(text)), text);
  }
  EXPECT_EQ(lm.stop_ids, model().stop_ids);
  EXPECT_EQ(lm.render({{"user", "hi"}}), model().render({{"user", "hi"}}));
  auto ids = [&](const LanguageModel& which) {
    return collect(generate(which, prompt(0), exact(8))).ids;
  };
  EXPECT_EQ(ids(lm), ids(model()));
  fs::remove_all(to);
}

}  // namespace
}  // namespace tarn_test
