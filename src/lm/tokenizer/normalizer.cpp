#include "lm/tokenizer/normalizer.h"

#include <optional>

#include "base/require.h"
#include "lm/tokenizer/unicode.h"

namespace tarn::lm::tokenizer {

std::string replaced(std::string_view text, std::string_view from, std::string_view to) {
  if (from.empty()) return std::string(text);
  std::string out;
  out.reserve(text.size());
  while (true) {
    size_t at = text.find(from);
    out.append(text.substr(0, at));
    if (at == std::string_view::npos) return out;
    out.append(to);
    text.remove_prefix(at + from.size());
  }
}

std::string replaced(std::string_view text, const Regex& from, std::string_view to,
                     Deadline deadline) {
  std::string out;
  size_t done = 0;
  Search search(from, deadline);
  search.start(text);
  while (auto match = search.next()) {
    out.append(text.substr(done, match->begin - done)).append(to);
    done = match->end;
  }
  return out.append(text.substr(done));
}

std::string stripped(std::string_view text, bool left, bool right) {
  size_t begin = 0, end = 0;
  while (left && begin < text.size()) {
    Character c = character_at(text, begin);
    if (!is_space(c.code)) break;
    begin += c.length;
  }
  for (size_t at = begin; at < text.size();) {
    Character c = character_at(text, at);
    at += c.length;
    if (!right || !is_space(c.code)) end = at;
  }
  return std::string(text.substr(begin, end > begin ? end - begin : 0));
}

std::string without_marks(std::string_view text, Marks marks) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    Character c = character_at(text, at);
    if (!(marks == Marks::all ? is_mark(c.code) : is_nonspacing_mark(c.code)))
      out.append(text.substr(at, c.length));
    at += c.length;
  }
  return out;
}

std::string nmt_normalized(std::string_view text) {
  auto dropped = [](uint32_t c) {
    return (c >= 0x1 && c <= 0x8) || c == 0xB || (c >= 0xE && c <= 0x1F) || c == 0x7F ||
           c == 0x8F || c == 0x9F;
  };
  auto spaced = [](uint32_t c) {
    return c == 0x9 || c == 0xA || c == 0xC || c == 0xD || c == 0x1680 ||
           (c >= 0x200B && c <= 0x200F) || c == 0x2028 || c == 0x2029 || c == 0x2581 ||
           c == 0xFEFF || c == 0xFFFD;
  };
  std::string out;
  out.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    Character c = character_at(text, at);
    if (spaced(c.code))
      out.push_back(' ');
    else if (!dropped(c.code))
      out.append(text.substr(at, c.length));
    at += c.length;
  }
  return out;
}

std::string BertNormalizer::operator()(std::string text, Place) const {
  std::string out;
  out.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    Character c = character_at(text, at);
    auto bytes = std::string_view(text).substr(at, c.length);
    at += c.length;
    bool plain = c.code == '\t' || c.code == '\n' || c.code == '\r';
    if (clean_text && !plain && (c.code == 0 || c.code == 0xFFFD || is_other(c.code))) continue;
    if (clean_text && is_space(c.code)) bytes = " ";
    bool spaced = space_around_cjk && is_cjk(c.code);
    if (spaced) out.push_back(' ');
    out.append(bytes);
    if (spaced) out.push_back(' ');
  }
  if (strip_accents) out = without_marks(normalized(out, Form::nfd), Marks::nonspacing);
  return lowercase ? lowercased(out) : out;
}

Normalizer in_sequence(std::vector<Normalizer> steps, std::string where) {
  if (steps.empty()) return {};
  return [steps = std::move(steps), where = std::move(where)](std::string text, Place place) {
    size_t most = largest_normalized(text.size());
    for (const Normalizer& step : steps) {
      text = step(std::move(text), place);
      require(text.size() <= most, "[encode] {}: normalizer: a text grows past {} bytes.", where,
              most);
    }
    return text;
  };
}

}  // namespace tarn::lm::tokenizer
