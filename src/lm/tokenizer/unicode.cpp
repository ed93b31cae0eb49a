#include "lm/tokenizer/unicode.h"

#include <utf8proc.h>

#include <algorithm>
#include <cstdlib>
#include <iterator>
#include <memory>
#include <utility>
#include <vector>

#include "base/require.h"

namespace tarn::lm::tokenizer {
namespace {

// Characters of Unicode 15.1 and 16.0, which utf8proc 2.8 (Unicode 15.0) does not know yet and
// which the tokenizers that models were trained with do: L letter, N number, M mark, P punctuation,
// S symbol.
struct Newer {
  uint32_t first, last;
  char category;
};
constexpr Newer kNewer[] = {
    {0x897, 0x897, 'M'},     {0x1B4E, 0x1B4F, 'P'},   {0x1B7F, 0x1B7F, 'P'},
    {0x1C89, 0x1C8A, 'L'},   {0x2427, 0x2429, 'S'},   {0x2FFC, 0x2FFF, 'S'},
    {0x31E4, 0x31E5, 'S'},   {0x31EF, 0x31EF, 'S'},   {0xA7CB, 0xA7CD, 'L'},
    {0xA7DA, 0xA7DC, 'L'},   {0x105C0, 0x105F3, 'L'}, {0x10D40, 0x10D49, 'N'},
    {0x10D4A, 0x10D65, 'L'}, {0x10D69, 0x10D6D, 'M'}, {0x10D6E, 0x10D6E, 'P'},
    {0x10D6F, 0x10D85, 'L'}, {0x10EC2, 0x10EC4, 'L'}, {0x10EFC, 0x10EFC, 'M'},
    {0x11380, 0x11389, 'L'}, {0x1138B, 0x1138B, 'L'}, {0x1138E, 0x1138E, 'L'},
    {0x11390, 0x113B5, 'L'}, {0x113B7, 0x113B7, 'L'}, {0x113B8, 0x113C0, 'M'},
    {0x113C2, 0x113C2, 'M'}, {0x113C5, 0x113C5, 'M'}, {0x113C7, 0x113CA, 'M'},
    {0x113CC, 0x113D0, 'M'}, {0x113D1, 0x113D1, 'L'}, {0x113D2, 0x113D2, 'M'},
    {0x113D3, 0x113D3, 'L'}, {0x113D4, 0x113D5, 'P'}, {0x113D7, 0x113D8, 'P'},
    {0x113E1, 0x113E2, 'M'}, {0x116D0, 0x116E3, 'N'}, {0x11BC0, 0x11BE0, 'L'},
    {0x11BE1, 0x11BE1, 'P'}, {0x11BF0, 0x11BF9, 'N'}, {0x11F5A, 0x11F5A, 'M'},
    {0x13460, 0x143FA, 'L'}, {0x16100, 0x1611D, 'L'}, {0x1611E, 0x1612F, 'M'},
    {0x16130, 0x16139, 'N'}, {0x16D40, 0x16D6C, 'L'}, {0x16D6D, 0x16D6F, 'P'},
    {0x16D70, 0x16D79, 'N'}, {0x18CFF, 0x18CFF, 'L'}, {0x1CC00, 0x1CCEF, 'S'},
    {0x1CCF0, 0x1CCF9, 'N'}, {0x1CD00, 0x1CEB3, 'S'}, {0x1E5D0, 0x1E5ED, 'L'},
    {0x1E5EE, 0x1E5EF, 'M'}, {0x1E5F0, 0x1E5F0, 'L'}, {0x1E5F1, 0x1E5FA, 'N'},
    {0x1E5FF, 0x1E5FF, 'P'}, {0x1F8B2, 0x1F8BB, 'S'}, {0x1F8C0, 0x1F8C1, 'S'},
    {0x1FA89, 0x1FA89, 'S'}, {0x1FA8F, 0x1FA8F, 'S'}, {0x1FABE, 0x1FABE, 'S'},
    {0x1FAC6, 0x1FAC6, 'S'}, {0x1FADC, 0x1FADC, 'S'}, {0x1FADF, 0x1FADF, 'S'},
    {0x1FAE9, 0x1FAE9, 'S'}, {0x1FBCB, 0x1FBEF, 'S'}, {0x2EBF0, 0x2EE5D, 'L'},
};

// Marks, punctuation and format characters of after Unicode 8, which is as far as BERT's own tables
// go in the tokenizers that models were trained with.
struct CodeRange {
  uint32_t first, last;
};
// clang-format off
constexpr CodeRange kAfterBert[] = {
    {0x61D, 0x61D}, {0x7FD, 0x7FD}, {0x890, 0x891}, {0x898, 0x89F}, {0x8CA, 0x8D3}, {0x8E2, 0x8E2},
    {0x9FD, 0x9FE}, {0xA76, 0xA76}, {0xAFA, 0xAFF}, {0xB55, 0xB55}, {0xC04, 0xC04}, {0xC3C, 0xC3C},
    {0xC77, 0xC77}, {0xC84, 0xC84}, {0xCF3, 0xCF3}, {0xD00, 0xD00}, {0xD3B, 0xD3C}, {0xD81, 0xD81},
    {0xEBA, 0xEBA}, {0xECE, 0xECE}, {0x1715, 0x1715}, {0x180F, 0x180F}, {0x1ABF, 0x1ACE},
    {0x1B7D, 0x1B7E}, {0x1CF7, 0x1CF7}, {0x1DF6, 0x1DFA}, {0x2E43, 0x2E4F}, {0x2E52, 0x2E5D},
    {0xA82C, 0xA82C}, {0xA8FF, 0xA8FF}, {0x10D24, 0x10D27}, {0x10EAB, 0x10EAD}, {0x10EFD, 0x10EFF},
    {0x10F46, 0x10F50}, {0x10F55, 0x10F59}, {0x10F82, 0x10F89}, {0x11070, 0x11070},
    {0x11073, 0x11074}, {0x110C2, 0x110C2}, {0x110CD, 0x110CD}, {0x11145, 0x11146},
    {0x111C9, 0x111C9}, {0x111CE, 0x111CF}, {0x11241, 0x11241}, {0x1133B, 0x1133B},
    {0x1144B, 0x1144F}, {0x1145A, 0x1145B}, {0x1145D, 0x1145E}, {0x11660, 0x1166C},
    {0x116B9, 0x116B9}, {0x1182C, 0x1183B}, {0x11930, 0x11935}, {0x11937, 0x11938},
    {0x1193B, 0x1193E}, {0x11940, 0x11940}, {0x11942, 0x11946}, {0x119D1, 0x119D7},
    {0x119DA, 0x119E0}, {0x119E2, 0x119E2}, {0x119E4, 0x119E4}, {0x11A01, 0x11A0A},
    {0x11A33, 0x11A39}, {0x11A3B, 0x11A47}, {0x11A51, 0x11A5B}, {0x11A8A, 0x11A9C},
    {0x11A9E, 0x11AA2}, {0x11B00, 0x11B09}, {0x11C41, 0x11C45}, {0x11C70, 0x11C71},
    {0x11D31, 0x11D36}, {0x11D3A, 0x11D3A}, {0x11D3C, 0x11D3D}, {0x11D3F, 0x11D45},
    {0x11D47, 0x11D47}, {0x11D8A, 0x11D8E}, {0x11D90, 0x11D91}, {0x11D93, 0x11D97},
    {0x11EF3, 0x11EF8}, {0x11F00, 0x11F01}, {0x11F03, 0x11F03}, {0x11F34, 0x11F3A},
    {0x11F3E, 0x11F4F}, {0x11FFF, 0x11FFF}, {0x12FF1, 0x12FF2}, {0x13430, 0x13440},
    {0x13447, 0x13455}, {0x16E97, 0x16E9A}, {0x16F4F, 0x16F4F}, {0x16F7F, 0x16F87},
    {0x16FE2, 0x16FE2}, {0x16FE4, 0x16FE4}, {0x16FF0, 0x16FF1}, {0x1CF00, 0x1CF2D},
    {0x1CF30, 0x1CF46}, {0x1E08F, 0x1E08F}, {0x1E130, 0x1E136}, {0x1E2AE, 0x1E2AE},
    {0x1E2EC, 0x1E2EF}, {0x1E4EC, 0x1E4EF}, {0x1E95E, 0x1E95F},
};
// clang-format on

// Nonspacing marks of Unicode 9 and two that became so later: taking accents away goes by tables of
// Unicode 8, where marks in general go by those of Unicode 9.
// clang-format off
constexpr CodeRange kSinceUnicode9[] = {
    {0x8D4, 0x8E1}, {0x1885, 0x1886}, {0x1DFB, 0x1DFB}, {0xA8C5, 0xA8C5}, {0xA9BD, 0xA9BD},
    {0x1123E, 0x1123E}, {0x11438, 0x1143F}, {0x11442, 0x11444}, {0x11446, 0x11446},
    {0x11C30, 0x11C36}, {0x11C38, 0x11C3D}, {0x11C3F, 0x11C3F}, {0x11C92, 0x11CA7},
    {0x11CAA, 0x11CB0}, {0x11CB2, 0x11CB3}, {0x11CB5, 0x11CB6}, {0x1E000, 0x1E006},
    {0x1E008, 0x1E018}, {0x1E01B, 0x1E021}, {0x1E023, 0x1E024}, {0x1E026, 0x1E02A},
    {0x1E944, 0x1E94A},
};
// clang-format on

// What came after Unicode 9 and has a decomposition, which normal forms leave as it is: the
// tokenizers that models were trained with go by older tables.
// clang-format off
constexpr CodeRange kDecomposedLater[] = {
    {0x32FF, 0x32FF}, {0xA7F2, 0xA7F4}, {0xAB69, 0xAB69}, {0x10781, 0x10785}, {0x10787, 0x107B0},
    {0x107B2, 0x107BA}, {0x11930, 0x11930}, {0x11938, 0x11938}, {0x1E030, 0x1E06D},
    {0x1F16C, 0x1F16C}, {0x1FBF0, 0x1FBF9},
};
// clang-format on

// What Unicode 15.0 added: PCRE2 10.42 ends with 14.0.
// clang-format off
constexpr CodeRange kUnicode15[] = {
    {0xCF3, 0xCF3}, {0xECE, 0xECE}, {0x10EFD, 0x10EFF}, {0x1123F, 0x11241}, {0x11B00, 0x11B09},
    {0x11F00, 0x11F10}, {0x11F12, 0x11F3A}, {0x11F3E, 0x11F59}, {0x1342F, 0x1342F},
    {0x13439, 0x13455}, {0x1B132, 0x1B132}, {0x1B155, 0x1B155}, {0x1D2C0, 0x1D2D3},
    {0x1DF25, 0x1DF2A}, {0x1E030, 0x1E06D}, {0x1E08F, 0x1E08F}, {0x1E4D0, 0x1E4F9},
    {0x1F6DC, 0x1F6DC}, {0x1F774, 0x1F776}, {0x1F77B, 0x1F77F}, {0x1F7D9, 0x1F7D9},
    {0x1FA75, 0x1FA77}, {0x1FA87, 0x1FA88}, {0x1FAAD, 0x1FAAF}, {0x1FABB, 0x1FABD},
    {0x1FABF, 0x1FABF}, {0x1FACE, 0x1FACF}, {0x1FADA, 0x1FADB}, {0x1FAE8, 0x1FAE8},
    {0x1FAF7, 0x1FAF8}, {0x2B739, 0x2B739}, {0x31350, 0x323AF},
};
// clang-format on

template <class Ranges>
bool holds(const Ranges& ranges, uint32_t code) {
  auto at = std::lower_bound(std::begin(ranges), std::end(ranges), code,
                             [](const auto& r, uint32_t c) { return r.last < c; });
  return at != std::end(ranges) && at->first <= code;
}

bool is_after_bert(uint32_t code) { return holds(kAfterBert, code); }

char newer_category(uint32_t code) {
  auto at = std::lower_bound(std::begin(kNewer), std::end(kNewer), code,
                             [](const Newer& n, uint32_t c) { return n.last < c; });
  return at != std::end(kNewer) && at->first <= code ? at->category : 0;
}

utf8proc_category_t category_of(uint32_t code) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(code));
}

bool between(int category, int first, int last) { return category >= first && category <= last; }

bool is_ascii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return (c & 0x80) == 0; });
}

// Puts long runs of combining marks in canonical order, which changes no normal form. utf8proc
// sorts such a run by insertion: a megabyte of marks in a bad order would take it hours.
std::string with_sorted_marks(std::string_view text) {
  constexpr size_t kLong = 32;
  std::string out;
  out.reserve(text.size());
  std::vector<std::pair<int, std::string_view>> run;
  auto flush = [&] {
    if (run.size() > kLong)
      std::stable_sort(run.begin(), run.end(),
                       [](const auto& a, const auto& b) { return a.first < b.first; });
    for (const auto& mark : run) out.append(mark.second);
    run.clear();
  };
  for (size_t at = 0; at < text.size();) {
    Character c = character_at(text, at);
    std::string_view bytes = text.substr(at, c.length);
    at += c.length;
    int order = utf8proc_get_property(static_cast<utf8proc_int32_t>(c.code))->combining_class;
    if (order == 0) {
      flush();
      out.append(bytes);
    } else {
      run.push_back({order, bytes});
    }
  }
  flush();
  return out;
}

constexpr std::array<Class, 128> ascii_classes() {
  std::array<Class, 128> classes{};
  for (int c = 0; c < 128; ++c) {
    bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    bool space = c == ' ' || (c >= 9 && c <= 13);
    classes[static_cast<size_t>(c)] = letter                 ? Class::letter
                                      : c >= '0' && c <= '9' ? Class::number
                                      : space                ? Class::space
                                                             : Class::other;
  }
  return classes;
}

}  // namespace

constexpr std::array<Class, 128> kAsciiClass = ascii_classes();

Utf8Step utf8_step(std::string_view bytes) {
  auto byte = [&](size_t i) { return static_cast<unsigned char>(bytes[i]); };
  unsigned lead = byte(0);
  if (lead < 0x80) return {Utf8::valid, 1};
  if (lead < 0xC2 || lead > 0xF4) return {Utf8::invalid, 1};
  uint8_t length = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  // The second byte's range keeps out overlong forms, surrogates and what lies past U+10FFFF.
  unsigned low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
  unsigned high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
  for (uint8_t i = 1; i < length; ++i, low = 0x80, high = 0xBF) {
    if (i >= bytes.size()) return {Utf8::unfinished, i};
    if (byte(i) < low || byte(i) > high) return {Utf8::invalid, i};
  }
  return {Utf8::valid, length};
}

size_t valid_prefix(std::string_view bytes) {
  size_t at = 0;
  while (at < bytes.size()) {
    if (at + 8 <= bytes.size()) {  // eight ASCII bytes at a time
      uint64_t eight = 0;
      std::copy_n(bytes.data() + at, 8, reinterpret_cast<char*>(&eight));
      if ((eight & 0x8080808080808080u) == 0) {
        at += 8;
        continue;
      }
    }
    Utf8Step step = utf8_step(bytes.substr(at));
    if (step.kind != Utf8::valid) break;
    at += step.length;
  }
  return at;
}

std::string valid_utf8(std::string_view bytes) {
  std::string out;
  out.reserve(bytes.size());
  while (true) {
    size_t good = valid_prefix(bytes);
    out.append(bytes.substr(0, good));
    bytes.remove_prefix(good);
    if (bytes.empty()) return out;
    out.append(kReplacement);
    bytes.remove_prefix(utf8_step(bytes).length);
  }
}

void append_utf8(std::string& out, uint32_t code) {
  auto put = [&](uint32_t byte) { out.push_back(static_cast<char>(byte)); };
  if (code < 0x80) {
    put(code);
  } else if (code < 0x800) {
    put(0xC0 | code >> 6), put(0x80 | (code & 0x3F));
  } else if (code < 0x10000) {
    put(0xE0 | code >> 12), put(0x80 | (code >> 6 & 0x3F)), put(0x80 | (code & 0x3F));
  } else {
    put(0xF0 | code >> 18), put(0x80 | (code >> 12 & 0x3F));
    put(0x80 | (code >> 6 & 0x3F)), put(0x80 | (code & 0x3F));
  }
}

Class wide_class_of(uint32_t code) {
  int category = category_of(code);
  if (between(category, UTF8PROC_CATEGORY_LU, UTF8PROC_CATEGORY_LO)) return Class::letter;
  if (between(category, UTF8PROC_CATEGORY_ND, UTF8PROC_CATEGORY_NO)) return Class::number;
  if (between(category, UTF8PROC_CATEGORY_ZS, UTF8PROC_CATEGORY_ZP) || code == 0x85)
    return Class::space;
  if (category == UTF8PROC_CATEGORY_CN) {
    char newer = newer_category(code);
    return newer == 'L' ? Class::letter : newer == 'N' ? Class::number : Class::other;
  }
  return Class::other;
}

uint32_t older_character(uint32_t code) {
  if (code < 0x800 || !(holds(kUnicode15, code) || holds(kNewer, code))) return code;
  // A letter, mark, number, punctuation character or symbol as long in UTF-8.
  bool is_short = code < 0x10000;
  int category = category_of(code);
  char newer = category == UTF8PROC_CATEGORY_CN ? newer_category(code) : 0;
  bool han = code >= 0x20000;
  if (newer == 'L' || between(category, UTF8PROC_CATEGORY_LU, UTF8PROC_CATEGORY_LO))
    return is_short ? 0xA000 : han ? 0x20000 : 0x12000;
  if (newer == 'M' || between(category, UTF8PROC_CATEGORY_MN, UTF8PROC_CATEGORY_ME))
    return is_short ? 0x951 : 0x1D167;
  if (newer == 'N' || between(category, UTF8PROC_CATEGORY_ND, UTF8PROC_CATEGORY_NO))
    return is_short ? 0x966 : 0x1D7CE;
  if (newer == 'P' || between(category, UTF8PROC_CATEGORY_PC, UTF8PROC_CATEGORY_PO))
    return is_short ? 0x2E2E : 0x10100;
  bool symbol = newer == 'S' || between(category, UTF8PROC_CATEGORY_SM, UTF8PROC_CATEGORY_SO);
  if (symbol) return is_short ? 0x2600 : 0x1F300;
  return code;
}

bool is_word(uint32_t code) {
  int category = category_of(code);
  if (between(category, UTF8PROC_CATEGORY_LU, UTF8PROC_CATEGORY_NL) ||
      category == UTF8PROC_CATEGORY_PC)
    return true;
  if (category == UTF8PROC_CATEGORY_CN) {
    char newer = newer_category(code);
    return newer == 'L' || newer == 'N' || newer == 'M';
  }
  bool circled = between(static_cast<int>(code), 0x24B6, 0x24E9) ||
                 between(static_cast<int>(code), 0x1F130, 0x1F149) ||
                 between(static_cast<int>(code), 0x1F150, 0x1F169) ||
                 between(static_cast<int>(code), 0x1F170, 0x1F189);
  return circled || code == 0x200C || code == 0x200D;
}

bool is_punctuation(uint32_t code) {
  if (code < 128) return code > 32 && code < 127 && kAsciiClass[code] == Class::other;
  if (code == 0x166D || code == 0x111C9) return true;  // a symbol and a mark by now
  int category = category_of(code);
  return between(category, UTF8PROC_CATEGORY_PC, UTF8PROC_CATEGORY_PO) && !is_after_bert(code);
}

bool is_mark(uint32_t code) {
  if (code == 0x1CF2 || code == 0x1CF3) return true;  // letters by now
  int category = category_of(code);
  return between(category, UTF8PROC_CATEGORY_MN, UTF8PROC_CATEGORY_ME) && !is_after_bert(code);
}

bool is_nonspacing_mark(uint32_t code) {
  if (code == 0x1734) return true;  // a spacing one by now
  return category_of(code) == UTF8PROC_CATEGORY_MN && !is_after_bert(code) &&
         !holds(kSinceUnicode9, code);
}

bool is_other(uint32_t code) {
  return category_of(code) >= UTF8PROC_CATEGORY_CC && !is_after_bert(code);
}

bool is_cjk(uint32_t code) {
  constexpr uint32_t blocks[][2] = {{0x4E00, 0x9FFF},   {0x3400, 0x4DBF},   {0x20000, 0x2A6DF},
                                    {0x2A700, 0x2B73F}, {0x2B740, 0x2B81F}, {0x2B920, 0x2CEAF},
                                    {0xF900, 0xFAFF},   {0x2F800, 0x2FA1F}};
  return std::any_of(std::begin(blocks), std::end(blocks),
                     [&](const auto& b) { return code >= b[0] && code <= b[1]; });
}

size_t grapheme_end(std::string_view text, size_t at) {
  utf8proc_int32_t state = 0;
  Character before = character_at(text, at);
  at += before.length;
  while (at < text.size()) {
    Character next = character_at(text, at);
    if (utf8proc_grapheme_break_stateful(static_cast<utf8proc_int32_t>(before.code),
                                         static_cast<utf8proc_int32_t>(next.code), &state))
      break;
    before = next;
    at += next.length;
  }
  return at;
}

namespace {

std::string normalized_part(std::string_view text, Form form) {
  std::string sorted = with_sorted_marks(text);
  int options = UTF8PROC_STABLE;
  options |= form == Form::nfc || form == Form::nfkc ? UTF8PROC_COMPOSE : UTF8PROC_DECOMPOSE;
  if (form == Form::nfkc || form == Form::nfkd) options |= UTF8PROC_COMPAT;
  utf8proc_uint8_t* raw = nullptr;
  auto length = utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(sorted.data()),
                             static_cast<utf8proc_ssize_t>(sorted.size()), &raw,
                             static_cast<utf8proc_option_t>(options));
  std::unique_ptr<utf8proc_uint8_t, void (*)(void*)> owned(raw, std::free);
  require<ValueError>(length >= 0, "[encode] a text of {} bytes does not normalise: {}.",
                      text.size(), utf8proc_errmsg(length));
  return {reinterpret_cast<const char*>(raw), static_cast<size_t>(length)};
}

}  // namespace

std::string normalized(std::string_view text, Form form) {
  if (is_ascii(text)) return std::string(text);
  std::string out;
  size_t from = 0;
  for (size_t at = 0; at < text.size();) {
    Character c = character_at(text, at);
    if (c.code >= 0x3000 && holds(kDecomposedLater, c.code)) {
      out += normalized_part(text.substr(from, at - from), form);
      out += text.substr(at, c.length);
      from = at + c.length;
    }
    at += c.length;
  }
  return from == 0 ? normalized_part(text, form) : out + normalized_part(text.substr(from), form);
}

std::string lowercased(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    Character c = character_at(text, at);
    at += c.length;
    append_utf8(out,
                static_cast<uint32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c.code))));
    if (c.code == 0x130) append_utf8(out, 0x307);  // the one letter that lowers to two
  }
  return out;
}

}  // namespace tarn::lm::tokenizer
