// Text to token ids and back: byte-level BPE, SentencePiece, Unigram and WordPiece vocabularies.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tarn/lm/text_range.h"

namespace tarn {
class GgufFile;
}

namespace tarn::lm {

// A vocabulary as GGUF metadata holds it (`tokenizer.ggml.*`).
struct Vocabulary {
  // "gpt2": byte-level BPE; "gemma4": BPE on characters; "bert": WordPiece. Of SentencePiece:
  // "llama": BPE by scores; "t5": Unigram; "word" and "char".
  std::string model{};
  std::string pre{};  // how text is cut into words: "smollm", "llama-bpe", "qwen2", "gpt-2" …
  std::vector<std::string> tokens{};
  std::vector<float> scores{};   // "llama": the larger, the earlier a merge; "t5": logarithms
  std::vector<int32_t> types{};  // 1 normal, 2 unknown, 3 control, 4 user-defined, 5 unused, 6 byte
  std::vector<std::string> merges{};  // BPE: "left right", the first is the strongest
  std::optional<int32_t> bos{}, eos{}, unk{}, pad{};
  bool add_bos = false, add_eos = false;
  // SentencePiece's normalizer: a space in front of a text (or behind it), spaces in a row and at
  // the ends dropped, spaces written as U+2581, and the table of what characters become.
  bool add_space_prefix = true, space_as_suffix = false;
  bool remove_extra_whitespaces = false, escape_whitespaces = true;
  std::string precompiled_charsmap{};
  bool lowercase = true;                // "bert"
  std::string file = "the vocabulary";  // named in errors
};

struct EncodeOptions {
  bool add_special_tokens = false;  // put what the vocabulary wants around a text (bos, eos)
  bool parse_special = true;  // control tokens written out in the text become their ids; switch it
                              // off for text from strangers
  // Parts of a text that come from strangers, in order and apart from each other: no control token
  // is looked for in them, nor across their borders. The text must be valid UTF-8.
  std::span<const TextRange> foreign{};
};

// What a `.tiktoken` file does not say.
struct TiktokenOptions {
  std::string pattern{};  // matches the words; empty: GPT-4's pattern
  // Control tokens; they get the ids that follow the last rank.
  std::vector<std::string> special_tokens{};
  std::string bos{}, eos{}, pad{};  // the names of some of them, or empty
};

namespace tokenizer {
struct Parts;
// What a decoder's step keeps of the text so far.
struct TextState {
  std::string held{};  // text that what follows may still change
  size_t done = 0;     // of what the step does a limited number of times
};
}  // namespace tokenizer

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
  // Reads the vocabulary of a GGUF file.
  static Tokenizer from_gguf(const GgufFile& file);
  // Reads a SentencePiece model: the bytes of a `.model` file.
  static Tokenizer from_sentence_piece(std::string_view bytes, const std::string& file);
  // Reads a `.tiktoken` file: a line "BASE64 RANK" for each token.
  static Tokenizer from_tiktoken(std::string_view text, const std::string& file,
                                 const TiktokenOptions& options = {});
  // Reads a `tekken.json`.
  static Tokenizer from_tekken(std::string_view text, const std::string& file);
  // Any of these by its name and content, or a folder that holds one. Throws FileError.
  static Tokenizer from_file(const std::filesystem::path& path);

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

  // The text that `id` completes; what later tokens may still change, as the last bytes of a
  // character, is held back.
  std::string add(int32_t id);
  // The end of the text, after which a new one begins: an unfinished character becomes U+FFFD.
  std::string finish();
  void reset();

 private:
  static constexpr int32_t kNone = -1;
  void take(int32_t id, bool last);

  Tokenizer tokenizer_;
  bool skip_special_;
  bool first_ = true;         // no token was taken yet
  int32_t previous_ = kNone;  // the token before, for decoders that drop repeats
  int32_t waiting_ = kNone;   // a token whose meaning depends on whether another follows
  std::string pending_{};     // an unfinished character
  std::vector<tokenizer::TextState> states_{};
};

}  // namespace tarn::lm
