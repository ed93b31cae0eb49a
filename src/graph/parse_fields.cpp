#include "graph/parse_fields.h"

#include <iterator>

namespace tarn::detail {

std::string in_quotes(std::string_view text) {
  std::string out = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + '"';
}

bool parse_text(std::string_view& text, std::string& v) {
  v.clear();
  if (!skip(text, "\"")) return false;
  while (!text.empty() && text[0] != '"') {
    if (text[0] == '\\') text.remove_prefix(1);
    if (text.empty()) return false;
    v += text[0];
    text.remove_prefix(1);
  }
  return skip(text, "\"");
}

bool parse_dtype(std::string_view& text, Dtype& v) {
  constexpr Dtype all[] = {bool_, uint8, uint16,  uint32,  uint64,  int8,     int16,
                           int32, int64, float16, float32, float64, bfloat16, complex64};
  static_assert(std::size(all) == dtype_count);
  for (Dtype t : all) {  // no name is the beginning of another
    v = t;
    if (skip(text, name_of(t))) return true;
  }
  return false;
}

}  // namespace tarn::detail
