// Text to token ids and back: byte-level BPE, SentencePiece, Unigram and WordPiece vocabularies.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tarn::lm {

// A vocabulary as GGUF metadata holds it (`tokenizer.ggml.*`).
struct Vocabulary {
  std::string model{};  // "gpt2" (byte-level BPE) or "llama" (SentencePiece BPE)
  std::string pre{};    // how text is cut into words: "smollm", "llama-bpe", "qwen2", "gpt-2" …
  std::vector<std::string> tokens{};
  std::vector<float> scores{};   // "llama": the larger, the earlier a merge
  std::vector<int32_t> types{};  // 1 normal, 2 unknown, 3 control, 4 user-defined, 5 unused, 6 byte
  std::vector<std::string> merges{};  // "gpt2": "left right", the first is the strongest
  std::optional<int32_t> bos{}, eos{}, unk{}, pad{};
  bool add_bos = false, add_eos = false, add_space_prefix = true;
  std::string file = "the vocabulary";  // named in errors
};

struct EncodeOptions {
  bool add_special_tokens = false;  // put what the vocabulary wants around a text (bos, eos)
  bool parse_special = true;  // control tokens written out in the text become their ids; switch it
                              // off for text from strangers
};

namespace tokenizer {
struct Parts;
}

// An immutable value: copies share the vocabulary, any thread may use any copy.
class Tokenizer {
 public:
  // No vocabulary: decodes everything to nothing, encodes only the empty text.
  Tokenizer();

  // Reads a tokenizer.json. `file` is named in errors; `tokenizer_config_json` is the text of the
  // tokenizer_config.json beside it, which names bos, eos, unk and pad.
  static Tokenizer from_json(std::string_view text, const std::string& file,
                             std::string_view tokenizer_config_json = {});
  static Tokenizer from_vocabulary(const Vocabulary& vocabulary);

  // Bytes that are not UTF-8 count as U+FFFD, one for each maximal invalid part.
  std::vector<int32_t> encode(std::string_view text, EncodeOptions options = {}) const;

  // Always valid UTF-8. Ids that the vocabulary lacks (a model's padding rows) stand for nothing.
  std::string decode(std::span<const int32_t> ids, bool skip_special = false) const;

  // What the token adds inside a text: bytes, not always whole characters. Empty if there is none.
  std::string_view token_bytes(int32_t id) const;
  // The token as the vocabulary spells it, e.g. "Ġthe" or "▁the". Empty if there is none.
  std::string_view token_text(int32_t id) const;
  std::optional<int32_t> id_of(std::string_view token) const;

  std::optional<int32_t> bos() const;
  std::optional<int32_t> eos() const;
  std::optional<int32_t> unk() const;
  std::optional<int32_t> pad() const;
  int32_t size() const;  // one past the largest id
  bool is_special(int32_t id) const;

 private:
  friend class StreamingDetokenizer;
  explicit Tokenizer(std::shared_ptr<const tokenizer::Parts> parts);
  std::shared_ptr<const tokenizer::Parts> parts_;
};

// Decodes ids as they come. What `add` and `finish` return, joined, is what `decode` returns.
class StreamingDetokenizer {
 public:
  explicit StreamingDetokenizer(Tokenizer tokenizer, bool skip_special = true);

  // The text that `id` completes; a character whose last bytes are still to come is held back.
  std::string add(int32_t id);
  // The end of the text: an unfinished character becomes U+FFFD.
  std::string finish();
  void reset();

 private:
  Tokenizer tokenizer_;
  bool skip_special_;
  bool first_ = true;      // no token was added yet
  size_t to_strip_ = 0;    // leading spaces that may still be dropped
  std::string pending_{};  // an unfinished character
};

}  // namespace tarn::lm
