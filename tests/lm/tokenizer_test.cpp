#include "tarn/lm/tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ctime>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "base/json.h"
#include "golden.h"
#include "lm/byte_level.h"
#include "lm/tokenizer/base64.h"
#include "tarn/error.h"

namespace tarn_test {
namespace {

using tarn::Json;
using tarn::lm::EncodeOptions;
using tarn::lm::StreamingDetokenizer;
using tarn::lm::Tokenizer;
using tarn::lm::Vocabulary;
using testing::ElementsAre;
using testing::IsEmpty;
using Ids = std::vector<int32_t>;

std::string streamed(const Tokenizer& t, const Ids& ids, bool skip_special = false) {
  StreamingDetokenizer stream(t, skip_special);
  std::string text;
  for (int32_t id : ids) text += stream.add(id);
  return text + stream.finish();
}

// ---- What the libraries that made the vocabularies say ----

Json goldens() { return tarn::load_json(golden("lm/tokenizers.json").string()); }

Tokenizer tokenizer_of(const Json& entry) {
  if (entry.contains("sentencepiece"))
    return Tokenizer::from_sentence_piece(
        *tarn::lm::tokenizer::from_base64(entry["sentencepiece"].get<std::string>()), "t.model");
  if (entry.contains("tokenizer"))
    return Tokenizer::from_json(entry["tokenizer"].dump(), "tokenizer.json");
  const Json& v = entry["vocabulary"];
  return Tokenizer::from_vocabulary({.model = "llama",
                                     .tokens = v["tokens"].get<std::vector<std::string>>(),
                                     .scores = v["scores"].get<std::vector<float>>(),
                                     .types = v["types"].get<std::vector<int32_t>>(),
                                     .unk = v["unk"].get<int32_t>()});
}

TEST(Tokenizer, EqualsTheReferences) {
  Json entries = goldens();
  EXPECT_EQ(entries.size(), 22u);
  for (const Json& entry : entries) {
    SCOPED_TRACE(entry["name"].get<std::string>());
    Tokenizer t = tokenizer_of(entry);
    EncodeOptions options{.add_special_tokens = entry["special"].get<bool>()};
    EXPECT_GE(entry["cases"].size(), 50u);
    for (const Json& row : entry["cases"]) {
      auto text = row[0].get<std::string>();
      auto ids = row[1].get<Ids>();
      EXPECT_EQ(t.encode(text, options), ids) << text;
      EXPECT_EQ(t.decode(ids), row[2].get<std::string>()) << text;
      EXPECT_EQ(streamed(t, ids), row[2].get<std::string>()) << text;
    }
  }
}

// ---- By hand ----

TEST(Tokenizer, MergesByRankFromTheLeft) {
  auto t = Tokenizer::from_vocabulary(byte_level());
  EXPECT_EQ(t.encode(""), Ids{});
  EXPECT_THAT(t.encode("aaaaaaa"), ElementsAre(kAaaa, kAa, 'a'));
  EXPECT_THAT(t.encode("the the th"), ElementsAre(kThe, kSpaceThe, ' ', kTh));
  EXPECT_EQ(t.size(), 265);
  EXPECT_EQ(t.token_text(kSpaceThe), "Ġthe");
  EXPECT_EQ(t.token_bytes(kSpaceThe), " the");
  EXPECT_EQ(t.token_bytes(0xC3), "\xC3");
  EXPECT_EQ(t.token_bytes(kEnd), "<|end|>");
  EXPECT_EQ(t.token_bytes(-1), "");
  EXPECT_EQ(t.token_bytes(265), "");
  EXPECT_EQ(t.id_of("Ġthe"), kSpaceThe);
  EXPECT_EQ(t.id_of(" the"), std::nullopt);
  EXPECT_EQ(t.bos(), kEnd);
  EXPECT_EQ(t.pad(), std::nullopt);
}

TEST(Tokenizer, CutsOutAddedTokens) {
  auto t = Tokenizer::from_vocabulary(byte_level());
  EXPECT_TRUE(t.is_special(kEnd));
  EXPECT_FALSE(t.is_special(kTool));
  EXPECT_THAT(t.encode("<|end|><tool><tool><tool>a<|en"),
              ElementsAre(kEnd, kToolTool, kTool, 'a', '<', '|', 'e', 'n'));
  Ids plain = t.encode("<|end|><tool>", {.parse_special = false});
  EXPECT_THAT(plain, ElementsAre('<', '|', 'e', 'n', 'd', '|', '>', kTool));
  EXPECT_EQ(t.decode(plain), "<|end|><tool>");
  EXPECT_EQ(t.decode(Ids{kEnd, 'a', kTool}, true), "a<tool>");
}

TEST(Tokenizer, PutsBosAndEosAround) {
  Vocabulary v = byte_level();
  v.add_bos = v.add_eos = true;
  auto t = Tokenizer::from_vocabulary(v);
  EXPECT_THAT(t.encode("a", {.add_special_tokens = true}), ElementsAre(kEnd, 'a', kEnd));
  EXPECT_THAT(t.encode("a"), ElementsAre('a'));
}

TEST(Tokenizer, PreNamesTheWords) {
  auto words = [](const std::string& pre, const std::string& text) {
    Vocabulary v = byte_level(pre);
    v.tokens.insert(v.tokens.end(), {"11", "1111"});
    v.types.insert(v.types.end(), {1, 1});
    v.merges.insert(v.merges.end(), {"1 1", "11 11"});
    return Tokenizer::from_vocabulary(v).encode(text).size();
  };
  EXPECT_EQ(words("gpt-2", "1111"), 1u);
  EXPECT_EQ(words("default", "1111"), 1u);
  EXPECT_EQ(words("smollm", "1111"), 4u);
  EXPECT_EQ(words("llama-bpe", "1111"), 3u);  // 111 is 11 1, then 1
  EXPECT_EQ(words("qwen2", "1111"), 4u);
}

TEST(Tokenizer, BadBytesBecomeReplacements) {
  auto t = Tokenizer::from_vocabulary(byte_level());
  // Python: each.decode("utf-8", "replace")
  const std::pair<const char*, int> cases[] = {
      {"\xFF", 1},         {"\xC3", 1},         {"\xC0\xAF", 2},         {"\xE4\xBD", 1},
      {"\xE4\xBD\xE4", 2}, {"\xED\xA0\x80", 3}, {"\xF0\x9F\x98", 1},     {"\xF4\x90\x80\x80", 4},
      {"\xE0\x80", 2},     {"\xF0\x80\x80", 3}, {"\xF8\x88\x80\x80", 4}, {"\x80\xBF", 2}};
  for (const auto& [bytes, count] : cases) {
    std::string want = "a";
    for (int i = 0; i < count; ++i) want += "\uFFFD";
    want += "b";
    EXPECT_EQ(t.decode(t.encode("a" + std::string(bytes) + "b")), want);
  }
}

TEST(StreamingDetokenizer, HoldsBackUnfinishedCharacters) {
  auto t = Tokenizer::from_vocabulary(byte_level());
  StreamingDetokenizer stream(t);
  EXPECT_EQ(stream.add('x'), "x");
  EXPECT_EQ(stream.add(0xF0), "");
  EXPECT_EQ(stream.add(0x9F), "");
  EXPECT_EQ(stream.add(0x98), "");
  EXPECT_EQ(stream.add(0x80), "😀");
  EXPECT_EQ(stream.add(0xE4), "");
  EXPECT_EQ(stream.add('y'), "\uFFFDy");
  EXPECT_EQ(stream.add(kEnd), "");
  EXPECT_EQ(stream.add(100000), "");
  EXPECT_EQ(stream.add(0xE4), "");
  EXPECT_EQ(stream.finish(), "\uFFFD");
  EXPECT_EQ(stream.add(0xC3), "");
  stream.reset();
  EXPECT_EQ(stream.finish(), "");
  EXPECT_EQ(streamed(t, {'a', 0xE4, 0xBD, kEnd, 0xFF, kE}),
            t.decode(Ids{'a', 0xE4, 0xBD, kEnd, 0xFF, kE}));
}

// ---- SentencePiece ----

Vocabulary sentence_piece() {
  Vocabulary v{.model = "llama", .file = "spm.gguf"};
  v.tokens = {"<unk>", "<s>", "</s>", "▁", "a", "b", "▁a", "ab", "abb", "[X]", "<0x41>"};
  v.scores = {0, 0, 0, -9, -9, -9, -2, -1, -3, 0, 0};
  v.types = {2, 3, 3, 1, 1, 1, 1, 5, 1, 4, 6};
  v.unk = 0;
  v.bos = 1;
  v.add_bos = true;
  return v;
}

TEST(Tokenizer, SentencePieceSpacesAndScores) {
  auto t = Tokenizer::from_vocabulary(sentence_piece());
  EXPECT_THAT(t.encode("a a"), ElementsAre(6, 6));
  EXPECT_THAT(t.encode("b"), ElementsAre(3, 5));
  EXPECT_THAT(t.encode("abb", {.add_special_tokens = true}), ElementsAre(1, 3, 8));
  EXPECT_THAT(t.encode("ab"), ElementsAre(3, 4, 5));       // "ab" is unused: taken apart again
  EXPECT_THAT(t.encode("bXYa"), ElementsAre(3, 5, 0, 4));  // neighbouring unknowns are one
  EXPECT_THAT(t.encode("a</s>b[X]b"), ElementsAre(6, 2, 3, 5, 9, 5));
  EXPECT_EQ(t.decode(Ids{6, 6}), "a a");
  EXPECT_EQ(t.decode(Ids{1, 6, 6}, true), "a a");
  EXPECT_EQ(t.decode(Ids{3, 3, 10}), " A");
  EXPECT_EQ(streamed(t, {3, 3, 10}), " A");
  EXPECT_EQ(t.token_bytes(6), " a");
  EXPECT_EQ(t.token_bytes(10), "A");
  Vocabulary v = sentence_piece();
  v.add_space_prefix = false;
  EXPECT_THAT(Tokenizer::from_vocabulary(v).encode("a a"), ElementsAre(4, 6));
  EXPECT_EQ(Tokenizer::from_vocabulary(v).decode(Ids{6, 6}), " a a");
}

// ---- What files can get wrong ----

TEST(Tokenizer, VocabularyErrors) {
  auto error = [](auto change) {
    Vocabulary v = byte_level();
    change(v);
    return error_of([&] { Tokenizer::from_vocabulary(v); });
  };
  EXPECT_EQ(
      error([](auto& v) { v.pre = "klingon\n"; }),
      "[load] small.gguf: tokenizer.ggml.pre `klingon\\x0a` is not supported; these are: "
      "default, gpt-2, phi-2, mpt, olmo, jais, trillion, granite-docling, exaone4, jina-es, "
      "jina-de, jina-v1-en, jina-v2-es, jina-v2-de, jina-v2-code, roberta-bpe, gigachat, "
      "a.x-4.0, mellum, modern-bert, smollm, starcoder, refact, command-r, codeshell, "
      "exaone, minerva-7b, mellum2, llama-bpe, llama3, llama-v3, falcon3, falcon-h1, "
      "pixtral, midm-2.0, lfm2, jina-v5-nano, glm4, glm5, dbrx, smaug-bpe, chatglm-bpe, "
      "qwen2, deepseek-r1-qwen, kormo, f2llmv2, stablelm2, megrez, hunyuan, solar-open, "
      "grok-2, qwen35, gpt-4o, llama4, kanana2, talkie, minimax-m2, tekken, deepseek-llm, "
      "deepseek-coder, deepseek-v3, hunyuan-dense, joyai-llm, hy_v4, falcon, bloom, "
      "poro-chat, gpt3-finnish, viking, tiny_aya, cohere2moe, bailingmoe, bailingmoe2, "
      "llada-moe, seed-coder, minicpm5, exaone-moe, ufakzeka, laguna, kimi-k2, jais-2, chameleon, "
      "superbpe, granite-embed-multi-97m, gemma4, sarvam-moe, granite-embed-multi-311m.");
  EXPECT_EQ(error([](auto& v) { v.model = "rwkv"; }),
            "[load] small.gguf: tokenizer.ggml.model `rwkv` is not supported; `gpt2`, `gemma4`, "
            "`bert`, `llama` and `t5` are.");
  EXPECT_EQ(error([](auto& v) { v.merges.push_back("x yz"); }),
            "[load] small.gguf: merge 6 joins `x` and `yz`, but `yz` is not a token.");
  EXPECT_EQ(error([](auto& v) { v.merges.push_back("xy"); }),
            "[load] small.gguf: tokenizer.ggml.merges[6] `xy` is not a pair of tokens.");
  EXPECT_EQ(error([](auto& v) { v.types.pop_back(); }),
            "[load] small.gguf: tokenizer.ggml.token_type has 264 entries for 265 tokens.");
  EXPECT_EQ(error([](auto& v) { v.eos = 265; }),
            "[load] small.gguf: special token id 265 lies outside the 265 tokens.");
  EXPECT_EQ(error([](auto& v) { v.model = "llama"; }),
            "[load] small.gguf: tokenizer.ggml.scores has 0 entries for 265 tokens.");
  EXPECT_EQ(error([](auto& v) { v.tokens[264] = std::string(513, 'x'); }),
            "[load] small.gguf: added token 264 has 513 bytes; at most 512, and 1048576 for all "
            "together, are taken.");
}

TEST(Tokenizer, ConfigNamesSpecialTokens) {
  const char* text = R"({"model":{"type":"BPE","vocab":{"a":0,"<s>":1},"merges":[]}})";
  auto t = Tokenizer::from_json(
      text, "t.json", R"({"bos_token":{"content":"<s>"},"eos_token":null,"pad_token":"<pad>",
      "add_bos_token":true})");
  EXPECT_EQ(t.bos(), 1);
  EXPECT_EQ(t.eos(), std::nullopt);
  EXPECT_EQ(t.pad(), std::nullopt);
  EXPECT_THAT(t.encode("a", {.add_special_tokens = true}), ElementsAre(1, 0));
}

TEST(Tokenizer, WithoutAVocabulary) {
  Tokenizer t;
  EXPECT_EQ(t.size(), 0);
  EXPECT_EQ(t.encode(""), Ids{});
  EXPECT_EQ(t.decode(Ids{1, 2}), "");
  EXPECT_EQ(error_of([&] { t.encode("a"); }),
            "[encode] this tokenizer has no vocabulary; make one with Tokenizer::from_json or "
            "from_vocabulary.");
}

// ---- Hostile texts and files: answers or errors, soon ----

// Soon is said of the processor's time: what else runs on the machine does not count.
class Hostile : public testing::Test {
 protected:
  ~Hostile() override { EXPECT_LT((std::clock() - start_) / CLOCKS_PER_SEC, 60); }

 private:
  std::clock_t start_ = std::clock();
};

TEST_F(Hostile, OneLongWord) {
  std::string text(1 << 20, 'a');
  auto bytes = Tokenizer::from_vocabulary(byte_level());
  EXPECT_EQ(bytes.encode(text), Ids(text.size() / 4, kAaaa));
  Vocabulary v{.model = "llama", .add_space_prefix = false};
  for (size_t n = 1; n <= 400; ++n) v.tokens.push_back(std::string(n, 'a'));
  for (size_t n = 1; n <= 400; ++n) v.scores.push_back(static_cast<float>(n));
  auto pieces = Tokenizer::from_vocabulary(v);
  EXPECT_EQ(pieces.decode(pieces.encode(text)), text);
}

TEST_F(Hostile, LongLinesOfEveryKind) {
  std::string letters;
  uint32_t seed = 1;
  while (letters.size() < 1 << 20) {
    seed = seed * 1664525 + 1013904223;
    letters.push_back("etaoinshrdlu"[(seed >> 16) % 12]);
  }
  for (const Json& entry : goldens()) {
    SCOPED_TRACE(entry["name"].get<std::string>());
    Tokenizer t = tokenizer_of(entry);
    Ids ids = t.encode(letters);
    EXPECT_FALSE(ids.empty());
    ids.resize(std::min<size_t>(ids.size(), 100'000));
    EXPECT_EQ(streamed(t, ids), t.decode(ids));
  }
}

TEST_F(Hostile, UnigramOfPrefixes) {
  std::string vocab;
  for (size_t n = 1; n <= 250; ++n)
    vocab += (n > 1 ? ",[\"" : "[\"") + std::string(n, 'a') + "\"," + std::to_string(n) + "]";
  auto t =
      Tokenizer::from_json(R"({"model":{"type":"Unigram","vocab":[)" + vocab + "]}}", "t.json");
  EXPECT_FALSE(t.encode(std::string(1 << 19, 'a')).empty());
}

TEST_F(Hostile, MarksInTheWorstOrder) {
  auto t = Tokenizer::from_json(
      R"({"model":{"type":"BPE","vocab":{"a":0},"merges":[]},"normalizer":{"type":"NFC"}})", "t");
  std::string text = "a";
  for (int i = 0; i < 200'000; ++i) text += i % 2 == 0 ? "\u0301" : "\u0316";
  EXPECT_THAT(t.encode(text), IsEmpty());  // á is not in the vocabulary
}

TEST_F(Hostile, PatternThatBacktracks) {
  auto t = Tokenizer::from_json(
      R"({"model":{"type":"BPE","vocab":{"a":0},"merges":[]},"pre_tokenizer":{"type":"Split",
      "pattern":{"Regex":"(a+)+$"},"behavior":"Isolated"}})",
      "t.json");
  EXPECT_EQ(error_of([&] { t.encode(std::string(1000, 'a') + "b"); }),
            "[encode] t.json: pre_tokenizer: the pattern gives up on a text of 1001 bytes: match "
            "limit exceeded.");
}

TEST_F(Hostile, NormalizerThatGrows) {
  std::string step =
      R"({"type":"Replace","pattern":{"String":"a"},"content":")" + std::string(200, 'a') + "\"}";
  auto t = Tokenizer::from_json(
      R"({"model":{"type":"BPE","vocab":{"a":0},"merges":[]},"normalizer":{"type":"Sequence",
      "normalizers":[)" +
          step + "," + step + "," + step + "]}}",
      "t.json");
  EXPECT_EQ(error_of([&] { t.encode("aaaa"); }),
            "[encode] t.json: normalizer: a text grows past 1048640 bytes.");
}

TEST_F(Hostile, ManyAddedTokens) {
  auto t = Tokenizer::from_vocabulary(byte_level());
  std::string text;
  for (int i = 0; i < 100'000; ++i) text += "<tool>x<|end|>";
  Ids ids = t.encode(text);
  EXPECT_EQ(ids.size(), 300'000u);
  EXPECT_EQ(t.decode(ids), text);
}

TEST_F(Hostile, DamagedFiles) {
  Json entries = goldens();
  uint64_t seed = 12345;
  auto random = [&](size_t n) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return static_cast<size_t>(seed >> 33) % n;
  };
  int loaded = 0;
  for (const Json& entry : entries) {
    if (!entry.contains("tokenizer")) continue;
    std::string good = entry["tokenizer"].dump();
    for (int i = 0; i < 150; ++i) {
      std::string bad = good;
      // The head and the tail hold everything but the vocabulary.
      size_t window = std::min<size_t>(bad.size(), 1500);
      for (size_t n = random(3) + 1; n > 0; --n) {
        size_t at = random(2) ? random(window) : bad.size() - 1 - random(window);
        bad[at] = "0123456789ae\"{}[],:-"[random(20)];
      }
      try {
        auto t = Tokenizer::from_json(bad, "bad.json");
        t.decode(t.encode("The quick <s> brown\n 123 é"));
        ++loaded;
      } catch (const tarn::Error&) {
      }
    }
  }
  EXPECT_GT(loaded, 50);
}

TEST(Tokenizer, ManyThreads) {
  auto t = Tokenizer::from_vocabulary(byte_level());
  Ids want = t.encode("the aaaa the<tool>é");
  std::vector<std::thread> threads;
  std::vector<int> wrong(4);
  for (int& w : wrong)
    threads.emplace_back([&w, &want, t] {
      for (int i = 0; i < 500; ++i) w += t.encode("the aaaa the<tool>é") != want;
    });
  for (auto& thread : threads) thread.join();
  EXPECT_THAT(wrong, ElementsAre(0, 0, 0, 0));
}

}  // namespace
}  // namespace tarn_test
