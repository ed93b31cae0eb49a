#include "lm/tokenizer/charsmap.h"

#include "base/require.h"
#include "lm/tokenizer/unicode.h"

namespace tarn::lm::tokenizer {
namespace {

// A unit of the trie: its label, whether a value stands below it, and where its children are.
constexpr uint32_t label_of(uint32_t unit) { return unit & (uint32_t{1} << 31 | 0xFF); }
constexpr bool has_value(uint32_t unit) { return (unit >> 8 & 1) != 0; }
constexpr uint32_t value_of(uint32_t unit) { return unit & ~(uint32_t{1} << 31); }
constexpr size_t offset_of(uint32_t unit) {
  return static_cast<size_t>(unit >> 10) << ((unit & uint32_t{1} << 9) >> 6);
}

uint32_t little_endian(std::string_view bytes, size_t at) {
  uint32_t value = 0;
  for (size_t i = 4; i-- > 0;) value = value << 8 | static_cast<unsigned char>(bytes[at + i]);
  return value;
}

}  // namespace

CharsMap::CharsMap(std::string_view blob, const std::string& where) {
  if (blob.empty()) return;
  require<FileError>(blob.size() >= 4, "[load] {}: the table of {} bytes has no size.", where,
                     blob.size());
  size_t size = little_endian(blob, 0), rest = blob.size() - 4;
  require<FileError>(size > 0 && size % 4 == 0 && size <= rest,
                     "[load] {}: the table's trie has {} bytes of {}; a multiple of 4 is needed.",
                     where, size, rest);
  for (size_t at = 0; at < size; at += 4) units_.push_back(little_endian(blob, 4 + at));
  replacements_ = blob.substr(4 + size);
  bool good = valid_prefix(replacements_) == replacements_.size() &&
              (replacements_.empty() || replacements_.back() == '\0');
  require<FileError>(good, "[load] {}: the table's replacements are not UTF-8 that ends with NUL.",
                     where);
}

std::optional<CharsMap::Hit> CharsMap::find(std::string_view text, bool first) const {
  std::optional<Hit> hit;
  if (units_.empty()) return hit;
  size_t node = offset_of(units_[0]);
  for (size_t i = 0; i < text.size(); ++i) {
    auto byte = static_cast<unsigned char>(text[i]);
    node ^= byte;
    if (node >= units_.size() || label_of(units_[node]) != byte) break;
    bool ends = has_value(units_[node]);
    node ^= offset_of(units_[node]);
    if (!ends) continue;
    if (node >= units_.size()) break;
    size_t at = value_of(units_[node]);
    if (at >= replacements_.size()) break;
    hit = {i + 1, replacements_.data() + at};
    if (first) break;
  }
  return hit;
}

std::optional<CharsMap::Hit> CharsMap::longest(std::string_view text) const {
  return find(text, false);
}

std::optional<CharsMap::Hit> CharsMap::shortest(std::string_view text) const {
  return find(text, true);
}

std::string CharsMap::by_graphemes(std::string_view text) const {
  constexpr size_t kShort = 6;
  std::string out;
  out.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    size_t end = grapheme_end(text, at);
    if (end - at < kShort) {
      if (auto hit = shortest(text.substr(at, end - at))) {
        out.append(hit->to);
        at = end;
      }
    }
    while (at < end) {
      std::string_view character = text.substr(at, character_at(text, at).length);
      auto hit = shortest(character);
      out.append(hit ? hit->to : character);
      at += character.size();
    }
  }
  return out;
}

}  // namespace tarn::lm::tokenizer
