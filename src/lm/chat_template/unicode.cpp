#include "lm/chat_template/unicode.h"

#include <utf8proc.h>

#include <algorithm>

namespace tarn::lm::jinja {
namespace {

constexpr int32_t kSharpS = 0xDF;         // its capital is "SS"
constexpr int32_t kCapitalSigma = 0x3A3;  // small: final form 0x3C2 at the end of a word

bool cased(int32_t c) {
  const auto category = utf8proc_category(c);
  return category == UTF8PROC_CATEGORY_LU || category == UTF8PROC_CATEGORY_LL ||
         category == UTF8PROC_CATEGORY_LT;
}

void append_upper(std::string& out, int32_t c) {
  if (c == kSharpS) {
    out += "SS";
  } else {
    append_utf8(out, utf8proc_toupper(c));
  }
}

void append_title(std::string& out, int32_t c) {
  if (c == kSharpS) {
    out += "Ss";
  } else {
    append_utf8(out, utf8proc_totitle(c));
  }
}

void append_lower(std::string& out, std::string_view s, size_t next, int32_t c, bool in_word) {
  if (c == kCapitalSigma && in_word) {
    size_t at = next;
    const bool last = at >= s.size() || !is_alpha(decode(s, at));
    append_utf8(out, last ? 0x3C2 : 0x3C3);
  } else if (c == 0x130) {
    out += "i\u0307";
  } else {
    append_utf8(out, utf8proc_tolower(c));
  }
}

bool is_line_end(int32_t c) {
  return (c >= 0x0A && c <= 0x0D) || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 ||
         c == 0x2029;
}

}  // namespace

bool valid_utf8(std::string_view s) {
  const auto* p = reinterpret_cast<const utf8proc_uint8_t*>(s.data());
  auto left = static_cast<utf8proc_ssize_t>(s.size());
  while (left > 0) {
    utf8proc_int32_t c = 0;
    const utf8proc_ssize_t n = utf8proc_iterate(p, left, &c);
    if (n <= 0) return false;
    p += n;
    left -= n;
  }
  return true;
}

int64_t code_points(std::string_view s) {
  int64_t n = 0;
  for (const char c : s) n += (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  return n;
}

int32_t decode(std::string_view s, size_t& at) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(s[i]); };
  const int32_t first = byte(at);
  const size_t extra = first < 0x80 ? 0 : first < 0xE0 ? 1 : first < 0xF0 ? 2 : 3;
  int32_t c = extra == 0 ? first : first & (0x3F >> extra);
  for (size_t i = 1; i <= extra && at + i < s.size(); ++i) c = (c << 6) | (byte(at + i) & 0x3F);
  at = std::min(at + extra + 1, s.size());
  return c;
}

void append_utf8(std::string& out, int32_t code_point) {
  utf8proc_uint8_t bytes[4];
  const utf8proc_ssize_t n = utf8proc_encode_char(code_point, bytes);
  out.append(reinterpret_cast<const char*>(bytes), static_cast<size_t>(n));
}

std::vector<int32_t> decode_all(std::string_view s) {
  std::vector<int32_t> points;
  points.reserve(s.size());
  for (size_t at = 0; at < s.size();) points.push_back(decode(s, at));
  return points;
}

std::string encode_all(const std::vector<int32_t>& code_points) {
  std::string out;
  out.reserve(code_points.size());
  for (const int32_t c : code_points) append_utf8(out, c);
  return out;
}

size_t byte_of(std::string_view s, int64_t index) {
  size_t at = 0;
  for (; at < s.size(); ++at) {
    if ((static_cast<unsigned char>(s[at]) & 0xC0) != 0x80 && index-- == 0) return at;
  }
  return at;
}

bool is_space(int32_t c) {
  return (c >= 9 && c <= 13) || (c >= 28 && c <= 32) || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F ||
         c == 0x3000;
}

bool is_printable(int32_t c) {
  if (c < 0x7F) return c >= 0x20;
  switch (utf8proc_category(c)) {
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
    case UTF8PROC_CATEGORY_ZS:
      return false;
    default:
      return true;
  }
}

bool is_alpha(int32_t c) {
  const auto category = utf8proc_category(c);
  return category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LO;
}

bool is_digit(int32_t c) { return utf8proc_category(c) == UTF8PROC_CATEGORY_ND; }

bool is_word(int32_t c) {
  if (c < 0x80) {
    return (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z') || c == '_';
  }
  const auto category = utf8proc_category(c);
  return is_alpha(c) || (category >= UTF8PROC_CATEGORY_ND && category <= UTF8PROC_CATEGORY_NO);
}

bool is_upper(int32_t c) { return utf8proc_category(c) == UTF8PROC_CATEGORY_LU; }
bool is_lower(int32_t c) { return utf8proc_category(c) == UTF8PROC_CATEGORY_LL; }

size_t space_at(std::string_view s, size_t at) {
  if (at >= s.size()) return 0;
  size_t next = at;
  return is_space(decode(s, next)) ? next - at : 0;
}

std::string_view strip(std::string_view s, bool left, bool right) {
  size_t begin = 0, end = s.size();
  if (left) {
    while (const size_t n = space_at(s, begin)) begin += n;
  }
  while (right && end > begin) {
    size_t at = end - 1;
    while (at > begin && (static_cast<unsigned char>(s[at]) & 0xC0) == 0x80) --at;
    if (space_at(s, at) == 0) break;
    end = at;
  }
  return s.substr(begin, end - begin);
}

std::string_view strip_of(std::string_view s, std::string_view chars, bool left, bool right) {
  const std::vector<int32_t> set = decode_all(chars);
  const auto in_set = [&](int32_t c) { return std::find(set.begin(), set.end(), c) != set.end(); };
  size_t begin = 0, end = s.size();
  while (left && begin < end) {
    size_t next = begin;
    if (!in_set(decode(s, next))) break;
    begin = next;
  }
  while (right && end > begin) {
    size_t at = end - 1;
    while (at > begin && (static_cast<unsigned char>(s[at]) & 0xC0) == 0x80) --at;
    size_t next = at;
    if (!in_set(decode(s, next))) break;
    end = at;
  }
  return s.substr(begin, end - begin);
}

std::string upper(std::string_view s) {
  std::string out;
  out.reserve(s.size());
  for (size_t at = 0; at < s.size();) append_upper(out, decode(s, at));
  return out;
}

std::string lower(std::string_view s) {
  std::string out;
  out.reserve(s.size());
  bool in_word = false;
  for (size_t at = 0; at < s.size();) {
    const int32_t c = decode(s, at);
    append_lower(out, s, at, c, in_word);
    in_word = is_alpha(c);
  }
  return out;
}

std::string swap_case(std::string_view s) {
  std::string out;
  for (size_t at = 0; at < s.size();) {
    const int32_t c = decode(s, at);
    if (is_upper(c)) {
      append_utf8(out, utf8proc_tolower(c));
    } else {
      append_upper(out, c);
    }
  }
  return out;
}

std::string capitalize(std::string_view s) {
  if (s.empty()) return {};
  std::string out;
  size_t at = 0;
  append_title(out, decode(s, at));
  return out + lower(s.substr(at));
}

std::string title(std::string_view s) {
  std::string out;
  bool in_word = false;
  for (size_t at = 0; at < s.size();) {
    const int32_t c = decode(s, at);
    if (in_word) {
      append_lower(out, s, at, c, true);
    } else {
      append_title(out, c);
    }
    in_word = cased(c);
  }
  return out;
}

std::vector<std::string_view> split_lines(std::string_view s, bool keep_ends) {
  std::vector<std::string_view> lines;
  size_t begin = 0;
  for (size_t at = 0; at < s.size();) {
    const size_t end = at;
    const int32_t c = decode(s, at);
    if (!is_line_end(c)) continue;
    if (c == '\r' && at < s.size() && s[at] == '\n') ++at;
    lines.push_back(s.substr(begin, (keep_ends ? at : end) - begin));
    begin = at;
  }
  if (begin < s.size()) lines.push_back(s.substr(begin));
  return lines;
}

}  // namespace tarn::lm::jinja
