#include "base/printable.h"

namespace tarn {
namespace {

// The length of the UTF-8 character that `text` begins with, or 0 when it is none. Overlong forms,
// surrogates, values past U+10FFFF and the C1 controls (U+0080..U+009F) count as none.
size_t character_length(std::string_view text) {
  auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  unsigned char first = byte(0);
  if (first < 0x80) return first >= 0x20 && first != 0x7f ? 1 : 0;
  size_t n = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || text.size() < n) return 0;
  for (size_t i = 1; i < n; ++i)
    if ((byte(i) & 0xc0) != 0x80) return 0;
  unsigned char second = byte(1);
  if ((first == 0xc2 && second < 0xa0) || (first == 0xe0 && second < 0xa0)) return 0;
  if ((first == 0xed && second > 0x9f) || (first == 0xf0 && second < 0x90)) return 0;
  return first == 0xf4 && second > 0x8f ? 0 : n;
}

}  // namespace

std::string printable(std::string_view text, size_t limit) {
  constexpr char hex[] = "0123456789abcdef";
  std::string out;
  while (!text.empty()) {
    size_t n = character_length(text);
    if (out.size() + (n ? n : 4) > limit) return out + "...";
    if (n) {
      out += text.substr(0, n);
    } else {
      auto c = static_cast<unsigned char>(text[0]);
      out += {'\\', 'x', hex[c >> 4], hex[c & 15]};
    }
    text.remove_prefix(n ? n : 1);
  }
  return out;
}

}  // namespace tarn
