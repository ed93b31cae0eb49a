// UTF-8 and Unicode as tokenizers see them: replacement of bad bytes, character classes, folding.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace tarn::lm::tokenizer {

enum class Utf8 : uint8_t { valid, invalid, unfinished };

// One step through bytes that may be anything: a whole character, a maximal invalid part, or the
// start of a character that the end cut off.
struct Utf8Step {
  Utf8 kind;
  uint8_t length;
};
Utf8Step utf8_step(std::string_view bytes);

inline constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD
inline constexpr std::string_view kMetaspace = "\xE2\x96\x81";    // U+2581, SentencePiece's space

// How many bytes at the front are valid UTF-8.
size_t valid_prefix(std::string_view bytes);
// `bytes` with U+FFFD for each maximal invalid part, as Python's decode("utf-8", "replace").
std::string valid_utf8(std::string_view bytes);

struct Character {
  uint32_t code;
  uint32_t length;  // in bytes
};

// Reads the character at `at`; the text must be valid UTF-8 and `at` inside it.
inline Character character_at(std::string_view text, size_t at) {
  auto byte = [&](size_t i) { return static_cast<uint32_t>(static_cast<unsigned char>(text[i])); };
  uint32_t lead = byte(at);
  if (lead < 0x80) return {lead, 1};
  if (lead < 0xE0) return {(lead & 0x1F) << 6 | (byte(at + 1) & 0x3F), 2};
  if (lead < 0xF0)
    return {(lead & 0x0F) << 12 | (byte(at + 1) & 0x3F) << 6 | (byte(at + 2) & 0x3F), 3};
  return {(lead & 0x07) << 18 | (byte(at + 1) & 0x3F) << 12 | (byte(at + 2) & 0x3F) << 6 |
              (byte(at + 3) & 0x3F),
          4};
}

void append_utf8(std::string& out, uint32_t code);

// The four classes that every GPT-style word pattern is made of.
enum class Class : uint8_t { letter, number, space, other };

Class wide_class_of(uint32_t code);
extern const std::array<Class, 128> kAsciiClass;
inline Class class_of(uint32_t code) {
  return code < 128 ? kAsciiClass[code] : wide_class_of(code);
}

// A character of the same class and length that Unicode 14 knows already, for patterns: PCRE2 is
// older than the tokenizers that models were trained with. Others are themselves.
uint32_t older_character(uint32_t code);

inline bool is_space(uint32_t code) { return class_of(code) == Class::space; }
inline bool is_number(uint32_t code) { return class_of(code) == Class::number; }
bool is_word(uint32_t code);         // what \w matches
bool is_punctuation(uint32_t code);  // as BERT has it: all ASCII symbols count
bool is_mark(uint32_t code);         // a combining mark
bool is_nonspacing_mark(uint32_t code);
bool is_other(uint32_t code);  // control, format, private use
bool is_cjk(uint32_t code);    // the ideographs that BERT puts spaces around

// The writing system of a character, by a number of its own; Han, Hiragana and Katakana are one.
inline constexpr int kAnyScript = -1;  // spaces and unassigned characters go with all of them
int script_of(uint32_t code);

// Where the grapheme cluster, what a reader takes for one character, that begins at `at` ends.
size_t grapheme_end(std::string_view text, size_t at);

enum class Form : uint8_t { nfc, nfd, nfkc, nfkd };
std::string normalized(std::string_view text, Form form);
std::string lowercased(std::string_view text);

}  // namespace tarn::lm::tokenizer
