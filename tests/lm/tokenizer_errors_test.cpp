// What the files of tokenizers can get wrong: whole messages.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "lm/byte_level.h"

namespace tarn_test {
namespace {

using tarn::lm::TiktokenOptions;
using tarn::lm::Tokenizer;
using testing::StartsWith;

std::string json_error(const std::string& text, const std::string& config = {}) {
  return error_of([&] { Tokenizer::from_json(text, "t.json", config); });
}

// With a model that is all right.
std::string error_with(const std::string& parts) {
  return json_error(R"({"model":{"type":"BPE","vocab":{"a":0},"merges":[]},)" + parts + "}");
}

TEST(TokenizerErrors, JsonModels) {
  auto model = [](const std::string& text) { return json_error(R"({"model":)" + text + "}"); };
  EXPECT_THAT(json_error("{"), StartsWith("[load] t.json: not JSON: "));
  EXPECT_THAT(json_error(std::string(200, '[') + std::string(200, ']')),
              StartsWith("[load] t.json: not JSON: "));
  EXPECT_EQ(json_error("[]"), "[load] t.json: an object is needed here.");
  EXPECT_EQ(json_error("{}"), "[load] t.json: `model` is missing.");
  EXPECT_EQ(model(R"({"type":"CharBPE"})"),
            "[load] t.json: model: model `CharBPE` is not supported.");
  EXPECT_EQ(model(R"({"type":"BPE","vocab":{"a":-1},"merges":[]})"),
            "[load] t.json: model.vocab: id -1 lies outside 0 … 4194303.");
  EXPECT_EQ(model(R"({"type":"BPE","vocab":{"a":"0"},"merges":[]})"),
            "[load] t.json: model.vocab: the id of `a` is not a number.");
  EXPECT_EQ(model(R"({"type":"BPE","vocab":{"a":0},"merges":["a a"]})"),
            "[load] t.json: merge 0 joins `a` and `a`, but `aa` is not a token.");
  EXPECT_EQ(model(R"({"type":"BPE","vocab":{"a":0},"merges":[["a"]]})"),
            "[load] t.json: model.merges: merge 0 is not a pair of tokens.");
  EXPECT_EQ(model(R"({"type":"BPE","vocab":{"a":0},"merges":[],"unk_token":"?"})"),
            "[load] t.json: model: `unk_token` `?` is not in the vocabulary.");
  EXPECT_EQ(model(R"({"type":"WordLevel","vocab":{"a":0},"unk_token":"?"})"),
            "[load] t.json: model: `unk_token` `?` is not in the vocabulary.");
  EXPECT_EQ(model(R"({"type":"Unigram","vocab":[["a",0]],"unk_id":1})"),
            "[load] t.json: model.unk_id: id 1 is not in the vocabulary.");
  EXPECT_EQ(model(R"({"type":"Unigram","vocab":[["a",0],["b"]]})"),
            "[load] t.json: model.vocab[1]: a token of at most 256 bytes and its score are needed "
            "here.");
  EXPECT_EQ(model(R"({"type":"WordPiece","vocab":{")" + std::string(300, 'a') + R"(":0}})"),
            "[load] t.json: model: a token has 300 bytes; at most 256 are taken.");
}

TEST(TokenizerErrors, JsonNormalizers) {
  EXPECT_EQ(error_with(R"("normalizer":{"type":"Rot13"})"),
            "[load] t.json: normalizer: normalizer `Rot13` is not supported.");
  EXPECT_EQ(error_with(R"("normalizer":{"type":"Prepend","prepend":7})"),
            "[load] t.json: normalizer.prepend: a string is needed here.");
  EXPECT_EQ(error_with(R"("normalizer":{"type":"Precompiled"})"),
            "[load] t.json: normalizer: `precompiled_charsmap` is missing.");
  EXPECT_EQ(error_with(R"("normalizer":{"type":"Precompiled","precompiled_charsmap":"?"})"),
            "[load] t.json: normalizer.precompiled_charsmap: this is not base64.");
  EXPECT_EQ(error_with(R"("normalizer":{"type":"Precompiled","precompiled_charsmap":"AAA="})"),
            "[load] t.json: normalizer.precompiled_charsmap: the table of 2 bytes has no size.");
  EXPECT_EQ(error_with(R"("normalizer":{"type":"Precompiled","precompiled_charsmap":"/////w=="})"),
            "[load] t.json: normalizer.precompiled_charsmap: the table's trie has 4294967295 bytes "
            "of 0; a multiple of 4 is needed.");
  EXPECT_EQ(
      error_with(R"("normalizer":{"type":"Precompiled","precompiled_charsmap":"BAAAAAAAAABh"})"),
      "[load] t.json: normalizer.precompiled_charsmap: the table's replacements are not UTF-8 "
      "that ends with NUL.");
}

TEST(TokenizerErrors, JsonPreTokenizers) {
  auto one = [](const std::string& text) { return error_with(R"("pre_tokenizer":)" + text); };
  EXPECT_EQ(one(R"({"type":"Sequence","pretokenizers":[{"type":"Sentences"}]})"),
            "[load] t.json: pre_tokenizer.pretokenizers[0]: pre-tokenizer `Sentences` is not "
            "supported.");
  EXPECT_EQ(one(R"({"type":"Split","pattern":{"Regex":"(a"},"behavior":"Isolated"})"),
            "[load] t.json: pre_tokenizer: the pattern `(a` is wrong at byte 2: missing closing "
            "parenthesis.");
  EXPECT_EQ(one(R"({"type":"Split","pattern":{"Regex":"[a&&b]"},"behavior":"Isolated"})"),
            "[load] t.json: pre_tokenizer: the pattern `[a&&b]` has `&&`, which is not supported.");
  EXPECT_EQ(one(R"({"type":"Split","pattern":{"String":"a"},"behavior":"Sideways"})"),
            "[load] t.json: pre_tokenizer: behavior `Sideways` is not supported.");
  EXPECT_EQ(one(R"({"type":"Split","behavior":"Isolated"})"),
            "[load] t.json: pre_tokenizer: `pattern` is missing.");
  EXPECT_EQ(one(R"({"type":"FixedLength","length":0})"),
            "[load] t.json: pre_tokenizer.length: a length of 0; at least 1 is needed.");
  EXPECT_EQ(one(R"({"type":"Metaspace","replacement":"long one"})"),
            "[load] t.json: pre_tokenizer: the replacement must be one character.");
  EXPECT_EQ(one(R"({"type":"Metaspace","prepend_scheme":"last"})"),
            "[load] t.json: pre_tokenizer: prepend_scheme `last` is not supported.");
}

TEST(TokenizerErrors, JsonDecodersAndTheRest) {
  EXPECT_EQ(error_with(R"("decoder":{"type":"Morse"})"),
            "[load] t.json: decoder: decoder `Morse` is not supported.");
  EXPECT_EQ(
      error_with(R"("decoder":{"type":"Sequence","decoders":[{"type":"Fuse"},{"type":"Morse"}]})"),
      "[load] t.json: decoder.decoders[1]: decoder `Morse` is not supported.");
  EXPECT_EQ(error_with(R"("decoder":{"type":"Strip","content":"ab","start":1,"stop":0})"),
            "[load] t.json: decoder: `content` must be one character, `start` and `stop` not "
            "negative.");
  EXPECT_EQ(error_with(R"("decoder":{"type":"BPEDecoder","suffix":""})"),
            "[load] t.json: decoder: `suffix` has 0 bytes; 1 to 256 are taken.");
  EXPECT_EQ(
      error_with(R"("decoder":{"type":"Replace","pattern":{"Regex":"*"},"content":""})"),
      "[load] t.json: decoder: the pattern `*` is wrong at byte 0: quantifier does not follow "
      "a repeatable item.");
  EXPECT_EQ(
      error_with(R"("post_processor":{"type":"RobertaProcessing","cls":["a",7],"sep":["a",0]})"),
      "[load] t.json: post_processor: id 7 is not in the vocabulary.");
  EXPECT_EQ(error_with(R"("post_processor":{"type":"TemplateProcessing","special_tokens":{},
                "single":[{"Sequence":{}},{"Sequence":{}}]})"),
            "[load] t.json: post_processor.single[1]: a template with two sequences is not "
            "supported.");
  EXPECT_EQ(error_with(R"("added_tokens":[{"id":4194304,"content":"x"}])"),
            "[load] t.json: added_tokens[0]: id 4194304 lies outside 0 … 4194303.");
  EXPECT_EQ(error_with(R"("added_tokens":[{"id":1}])"),
            "[load] t.json: added_tokens[0]: `content` is missing.");
  EXPECT_EQ(
      error_with(R"("added_tokens":[{"id":1,"content":")" + std::string(600, 'x') + "\"}]"),
      "[load] t.json: added token 1 has 600 bytes; at most 512, and 1048576 for all together, "
      "are taken.");
}

// ---- SentencePiece ----

// A field of protocol buffers that holds bytes; short ones only.
std::string field(int number, const std::string& bytes) {
  return std::string{static_cast<char>(number << 3 | 2), static_cast<char>(bytes.size())} + bytes;
}
std::string piece(const std::string& text, int type = 1) {
  return field(1,
               field(1, text) + std::string("\x15\0\0\0\0", 5) + "\x18" + static_cast<char>(type));
}
std::string pieces() { return piece("<unk>", 2) + piece("<s>", 3) + piece("</s>", 3) + piece("a"); }

TEST(TokenizerErrors, SentencePiece) {
  auto error = [](const std::string& bytes) {
    return error_of([&] { Tokenizer::from_sentence_piece(bytes, "t.model"); });
  };
  EXPECT_EQ(error(pieces()), "no error");
  EXPECT_EQ(error(""), "[load] t.model: this is no SentencePiece model: no pieces.");
  EXPECT_EQ(error("\x0A"),
            "[load] t.model: byte 1: the model needs 1 bytes, 0 are left. The file is cut off or "
            "damaged; fetch it again.");
  EXPECT_EQ(error("\x0A\x7F"),
            "[load] t.model: byte 2: the model needs 127 bytes, 0 are left. The file is cut off or "
            "damaged; fetch it again.");
  EXPECT_EQ(error(std::string(12, '\xFF')),
            "[load] t.model: byte 10: the model is no number of protocol buffers.");
  EXPECT_EQ(error("\x0B"),
            "[load] t.model: byte 1: the model has a field of the unknown kind 3; this is no "
            "SentencePiece model.");
  EXPECT_EQ(error("\x08\x01"),
            "[load] t.model: part 1 of the model has the kind 0 of protocol buffers; 2 is needed.");
  EXPECT_EQ(error(field(1, "\x08\x01")),
            "[load] t.model: piece 0's text has the kind 0 of protocol buffers; 2 is needed.");
  EXPECT_EQ(error(field(1, "\x10\x01")),
            "[load] t.model: piece 0's score has the kind 0 of protocol buffers; 5 is needed.");
  EXPECT_EQ(error(pieces() + piece("b", 9)),
            "[load] t.model: piece 4 has the type 9; 1 to 6 are known.");
  EXPECT_EQ(error(pieces() + piece("")), "[load] t.model: piece 4 has no text.");
  EXPECT_EQ(error(pieces() + field(2, "\x18\x09")),
            "[load] t.model: trainer_spec: model type 9 is not supported; 1 (unigram) to 4 (char) "
            "are.");
  EXPECT_EQ(error(pieces() + field(3, "\x10\x01")),
            "[load] t.model: normalizer_spec's precompiled_charsmap has the kind 0 of protocol "
            "buffers; 2 is needed.");
  EXPECT_EQ(error(pieces() + field(3, field(2, "xy"))),
            "[load] t.model: the normalizer: the table of 2 bytes has no size.");
  EXPECT_EQ(error(piece("a")), "[load] t.model: special token id 1 lies outside the 1 tokens.");
}

TEST(TokenizerErrors, EveryCutOfASentencePieceModel) {
  std::string good = pieces() + field(2, "\x18\x02") + field(3, "\x18\x01");
  int loaded = 0;
  for (size_t n = 0; n <= good.size(); ++n)
    loaded +=
        error_of([&] { Tokenizer::from_sentence_piece(good.substr(0, n), "t"); }) == "no error";
  EXPECT_EQ(loaded, 4);  // behind the third piece no part is missing but the last
}

// ---- Ranked vocabularies ----

TEST(TokenizerErrors, Tiktoken) {
  auto error = [](const std::string& text, const TiktokenOptions& options = {}) {
    return error_of([&] { Tokenizer::from_tiktoken(text, "t.tiktoken", options); });
  };
  EXPECT_EQ(error("IQ== 0\nIg== 1\n"), "no error");
  EXPECT_EQ(error(""), "[load] t.tiktoken: no tokens.");
  EXPECT_EQ(error("!!! 0"),
            "[load] t.tiktoken: line 1: `!!! 0` is no token in base64 with its rank.");
  EXPECT_EQ(error("IQ=="),
            "[load] t.tiktoken: line 1: `IQ==` is no token in base64 with its rank.");
  EXPECT_EQ(error("IQ== 0\nIg== x"),
            "[load] t.tiktoken: line 2: `Ig== x` is no token in base64 with its rank.");
  EXPECT_EQ(error("IQ== 0\n\nIg== 1"),
            "[load] t.tiktoken: line 2: `` is no token in base64 with its rank.");
  EXPECT_EQ(error("IQ== 0\nIg== 2"), "[load] t.tiktoken: line 2: rank 1 is needed here, not 2.");
  EXPECT_EQ(error("IQ== 0", {.pattern = "(a"}),
            "[load] t.tiktoken: pattern: the pattern `(a` is wrong at byte 2: missing closing "
            "parenthesis.");
}

TEST(TokenizerErrors, Tekken) {
  auto error = [](const std::string& config, const std::string& rest) {
    return error_of([&] {
      Tokenizer::from_tekken(R"({"config":{"pattern":".",)" + config + "}," + rest + "}",
                             "tekken.json");
    });
  };
  const std::string sizes = R"("default_vocab_size":3,"default_num_special_tokens":2)";
  const std::string vocab = R"("vocab":[{"rank":0,"token_bytes":"IQ=="}])";
  EXPECT_EQ(error(sizes, vocab), "no error");
  EXPECT_EQ(error_of([] { Tokenizer::from_tekken("{}", "tekken.json"); }),
            "[load] tekken.json: `config` is missing.");
  EXPECT_EQ(error(R"("default_num_special_tokens":2)", vocab),
            "[load] tekken.json: config: `default_vocab_size` is missing.");
  EXPECT_EQ(error(R"("default_vocab_size":2,"default_num_special_tokens":2)", vocab),
            "[load] tekken.json: config: 2 tokens with 2 special ones; fewer special ones than "
            "tokens, and fewer than 4194304 tokens, are needed.");
  EXPECT_EQ(error(R"("default_vocab_size":5,"default_num_special_tokens":2)", vocab),
            "[load] tekken.json: vocab: 3 tokens are needed, 1 are there.");
  EXPECT_EQ(error(sizes, R"("vocab":[{"rank":0,"token_bytes":"?"}])"),
            "[load] tekken.json: vocab[0]: `token_bytes` in base64 and `rank` 0 are needed here.");
  EXPECT_EQ(error(sizes, R"("vocab":[{"rank":1,"token_bytes":"IQ=="}])"),
            "[load] tekken.json: vocab[0]: `token_bytes` in base64 and `rank` 0 are needed here.");
  EXPECT_EQ(error(sizes, vocab + R"(,"special_tokens":[{"rank":2,"token_str":"<x>"}])"),
            "[load] tekken.json: special_tokens[0]: rank 2 lies outside the 2 special tokens.");
  EXPECT_EQ(error(sizes, vocab + R"(,"special_tokens":[{"rank":1}])"),
            "[load] tekken.json: special_tokens[0]: `token_str` is missing.");
}

TEST(TokenizerErrors, FolderWithoutATokenizer) {
  auto folder = std::filesystem::temp_directory_path() / "tarn_no_tokenizer";
  std::filesystem::create_directories(folder);
  EXPECT_EQ(error_of([&] { Tokenizer::from_file(folder); }),
            "[load] " + folder.string() +
                " has no tokenizer: tokenizer.json, tekken.json, tokenizer.model or a .tiktoken "
                "file is needed.");
  std::ofstream(folder / "tokenizer.model") << "IQ== 0\nIg== 1\n";
  EXPECT_EQ(Tokenizer::from_file(folder).encode("!\"!"), (std::vector<int32_t>{0, 1, 0}));
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace tarn_test
