#include "tarn/lm/tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "base/json.h"
#include "golden.h"
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

template <class F>
std::string error_of(F f) {
  try {
    f();
  } catch (const tarn::Error& error) {
    return error.message();
  }
  return "no error";
}

std::string streamed(const Tokenizer& t, const Ids& ids, bool skip_special = false) {
  StreamingDetokenizer stream(t, skip_special);
  std::string text;
  for (int32_t id : ids) text += stream.add(id);
  return text + stream.finish();
}

// ---- What the libraries that made the vocabularies say ----

Json goldens() { return tarn::load_json(golden("lm/tokenizers.json").string()); }

Tokenizer tokenizer_of(const Json& entry) {
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
  EXPECT_EQ(entries.size(), 10u);
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

// ---- A byte-level vocabulary small enough to follow by hand ----

// Ids 0 … 255 are the bytes, then come the merges' results, then three added tokens.
Vocabulary byte_level(const std::string& pre = "gpt-2") {
  Vocabulary v{.model = "gpt2", .pre = pre, .file = "small.gguf"};
  for (uint32_t b = 0, next = 0x100; b < 256; ++b) {
    bool itself = (b >= '!' && b <= '~') || (b >= 0xA1 && b != 0xAD);
    uint32_t code = itself ? b : next++;
    if (code < 0x80)
      v.tokens.push_back({static_cast<char>(code)});
    else
      v.tokens.push_back(
          {static_cast<char>(0xC0 | code >> 6), static_cast<char>(0x80 | (code & 63))});
  }
  v.merges = {"a a", "aa aa", "t h", "th e", "Ġ the", "Ã ©"};
  for (const char* token : {"aa", "aaaa", "th", "the", "Ġthe", "Ã©"}) v.tokens.push_back(token);
  v.types.assign(v.tokens.size(), 1);
  for (const char* token : {"<|end|>", "<tool>", "<tool><tool>"}) v.tokens.push_back(token);
  v.types.insert(v.types.end(), {3, 4, 4});
  v.bos = v.eos = 262;
  return v;
}
constexpr int32_t kAa = 256, kAaaa = 257, kTh = 258, kThe = 259, kSpaceThe = 260, kE = 261,
                  kEnd = 262, kTool = 263, kToolTool = 264;

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
  EXPECT_EQ(error([](auto& v) { v.pre = "klingon\n"; }),
            "[load] small.gguf: tokenizer.ggml.pre `klingon\\x0a` is not supported; these are: "
            "default, gpt-2, phi-2, olmo, smollm, starcoder, refact, command-r, codeshell, "
            "llama-bpe, llama3, llama-v3, qwen2, deepseek-r1-qwen.");
  EXPECT_EQ(error([](auto& v) { v.model = "rwkv"; }),
            "[load] small.gguf: tokenizer.ggml.model `rwkv` is not supported; `gpt2` and `llama` "
            "are.");
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

std::string json_error(const std::string& text, const std::string& config = {}) {
  return error_of([&] { Tokenizer::from_json(text, "t.json", config); });
}

TEST(Tokenizer, JsonErrors) {
  auto with = [](const std::string& parts) {
    return json_error(R"({"model":{"type":"BPE","vocab":{"a":0},"merges":[]},)" + parts + "}");
  };
  EXPECT_THAT(json_error("{"), testing::StartsWith("[load] t.json: not JSON: "));
  EXPECT_EQ(json_error("{}"), "[load] t.json: `model` is missing.");
  EXPECT_EQ(json_error(R"({"model":{"type":"CharBPE"}})"),
            "[load] t.json: model: model `CharBPE` is not supported.");
  EXPECT_EQ(json_error(R"({"model":{"type":"BPE","vocab":{"a":-1},"merges":[]}})"),
            "[load] t.json: model.vocab: id -1 lies outside 0 … 4194303.");
  EXPECT_EQ(json_error(R"({"model":{"type":"BPE","vocab":{"a":0},"merges":["a a"]}})"),
            "[load] t.json: merge 0 joins `a` and `a`, but `aa` is not a token.");
  EXPECT_EQ(json_error(R"({"model":{"type":"BPE","vocab":{"a":0},"merges":[["a"]]}})"),
            "[load] t.json: model.merges: merge 0 is not a pair of tokens.");
  EXPECT_EQ(
      with(R"("pre_tokenizer":{"type":"Sequence","pretokenizers":[{"type":"UnicodeScripts"}]})"),
      "[load] t.json: pre_tokenizer.pretokenizers[0]: pre-tokenizer `UnicodeScripts` is not "
      "supported.");
  EXPECT_EQ(
      with(R"("pre_tokenizer":{"type":"Split","pattern":{"Regex":"(a"},"behavior":"Isolated"})"),
      "[load] t.json: pre_tokenizer: the pattern `(a` is wrong at byte 2: missing closing "
      "parenthesis.");
  EXPECT_EQ(
      with(
          R"("pre_tokenizer":{"type":"Split","pattern":{"Regex":"[a&&b]"},"behavior":"Isolated"})"),
      "[load] t.json: pre_tokenizer: the pattern `[a&&b]` has `&&`, which is not supported.");
  EXPECT_EQ(with(R"("normalizer":{"type":"Precompiled"})"),
            "[load] t.json: normalizer: normalizer `Precompiled` is not supported.");
  EXPECT_EQ(with(R"("normalizer":{"type":"Prepend","prepend":7})"),
            "[load] t.json: normalizer.prepend: a string is needed here.");
  EXPECT_EQ(with(R"("decoder":{"type":"CTC"})"),
            "[load] t.json: decoder: decoder `CTC` is not supported.");
  EXPECT_EQ(with(R"("post_processor":{"type":"RobertaProcessing","cls":["a",7],"sep":["a",0]})"),
            "[load] t.json: post_processor: id 7 is not in the vocabulary.");
  EXPECT_THAT(json_error(std::string(200, '[') + std::string(200, ']')),
              testing::StartsWith("[load] t.json: not JSON: "));
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

class Hostile : public testing::Test {
 protected:
  ~Hostile() override { EXPECT_LT(Clock::now() - start_, std::chrono::seconds(60)); }

 private:
  using Clock = std::chrono::steady_clock;
  Clock::time_point start_ = Clock::now();
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
