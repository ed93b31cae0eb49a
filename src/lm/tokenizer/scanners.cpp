#include "lm/tokenizer/scanners.h"

#include <algorithm>

#include "lm/tokenizer/unicode.h"

namespace tarn::lm::tokenizer {
namespace {

struct Classed {
  Class kind;
  size_t end;
};

Classed classed_at(std::string_view text, size_t at) {
  Character c = character_at(text, at);
  return {class_of(c.code), at + c.length};
}

// Where the run of `kind` that `at` lies in, or stands at the end of, ends.
size_t end_of_run(std::string_view text, size_t at, Class kind) {
  while (at < text.size()) {
    Classed c = classed_at(text, at);
    if (c.kind != kind) break;
    at = c.end;
  }
  return at;
}

size_t end_of_newlines(std::string_view text, size_t at) {
  while (at < text.size() && (text[at] == '\r' || text[at] == '\n')) ++at;
  return at;
}

// Where a run of white space that begins at `at` is cut: its last character goes with the word
// behind it, `\s+(?!\S)|\s+`.
size_t end_of_spaces_before_word(std::string_view text, size_t at) {
  size_t end = at, before_last = at;
  while (end < text.size()) {
    Classed c = classed_at(text, end);
    if (c.kind != Class::space) break;
    before_last = end;
    end = c.end;
  }
  return end == text.size() || before_last == at ? end : before_last;
}

// How long `'s`, `'t`, `'re` … at an apostrophe is, or 0.
size_t contraction(std::string_view rest, bool any_case) {
  auto letter = [&](size_t i) {
    if (i >= rest.size()) return '\0';
    char c = rest[i];
    return any_case && c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  };
  char a = letter(1), b = letter(2);
  if (a == 's' || a == 't' || a == 'm' || a == 'd') return 2;
  if ((a == 'l' && b == 'l') || (a == 'v' && b == 'e') || (a == 'r' && b == 'e')) return 3;
  // The long s (U+017F) is an s when case is ignored.
  return any_case && rest.substr(1).starts_with("\xC5\xBF") ? 3 : 0;
}

size_t scan_modern(std::string_view text, size_t at, size_t most_digits) {
  if (text[at] == '\'') {
    size_t length = contraction(text.substr(at), true);
    if (length > 0) return at + length;
  }
  Classed first = classed_at(text, at);
  if (first.kind == Class::letter) return end_of_run(text, first.end, Class::letter);
  if (first.kind == Class::number) {
    size_t end = first.end;
    for (size_t digits = 1; digits < most_digits && end < text.size(); ++digits) {
      Classed c = classed_at(text, end);
      if (c.kind != Class::number) break;
      end = c.end;
    }
    return end;
  }
  bool newline = text[at] == '\r' || text[at] == '\n';
  if (first.end < text.size() && !newline) {
    Classed second = classed_at(text, first.end);
    if (second.kind == Class::letter) return end_of_run(text, second.end, Class::letter);
    if (text[at] == ' ' && second.kind == Class::other)
      return end_of_newlines(text, end_of_run(text, second.end, Class::other));
  }
  if (first.kind == Class::other)
    return end_of_newlines(text, end_of_run(text, first.end, Class::other));
  size_t end = end_of_run(text, at, Class::space);
  size_t last_newline = text.substr(at, end - at).find_last_of("\r\n");
  if (last_newline != std::string_view::npos) return at + last_newline + 1;
  return end_of_spaces_before_word(text, at);
}

struct Known {
  std::string_view pattern;
  Scanner scanner;
};
constexpr Known kKnown[] = {
    {R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)", scan_gpt2},
    {R"('(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)", scan_gpt2},
    {R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|)"
     R"( ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
     scan_llama3},
    {R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}|)"
     R"( ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+)",
     scan_llama3},
    {R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|)"
     R"(\s*[\r\n]+|\s+(?!\S)|\s+)",
     scan_qwen2},
};

}  // namespace

size_t scan_gpt2(std::string_view text, size_t at) {
  if (text[at] == '\'') {
    size_t length = contraction(text.substr(at), false);
    if (length > 0) return at + length;
  }
  Classed first = classed_at(text, at);
  if (first.kind != Class::space) return end_of_run(text, first.end, first.kind);
  if (text[at] == ' ' && first.end < text.size()) {
    Classed second = classed_at(text, first.end);
    if (second.kind != Class::space) return end_of_run(text, second.end, second.kind);
  }
  return end_of_spaces_before_word(text, at);
}

size_t scan_llama3(std::string_view text, size_t at) { return scan_modern(text, at, 3); }
size_t scan_qwen2(std::string_view text, size_t at) { return scan_modern(text, at, 1); }

std::optional<Scanner> scanner_for(std::string_view pattern) {
  auto known = std::find_if(std::begin(kKnown), std::end(kKnown),
                            [&](const Known& k) { return k.pattern == pattern; });
  return known == std::end(kKnown) ? std::nullopt : std::optional<Scanner>(known->scanner);
}

}  // namespace tarn::lm::tokenizer
