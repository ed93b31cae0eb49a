#include "lm/chat_template/marked.h"

#include <algorithm>

#include "lm/chat_template/value.h"

namespace tarn::lm::jinja {
namespace {

void add(std::vector<TextRange>& ranges, size_t begin, size_t end) {
  if (begin >= end) return;
  if (!ranges.empty() && ranges.back().end == begin)
    ranges.back().end = end;
  else
    ranges.push_back({begin, end});
}

}  // namespace

void Marked::append_foreign(std::string_view s) {
  add(foreign, text.size(), text.size() + s.size());
  text += s;
}

void Marked::append(const Text& from, std::string_view part) {
  const auto begin = static_cast<size_t>(part.data() - from.text.data());
  const size_t end = begin + part.size(), shift = text.size();
  auto at = std::lower_bound(from.foreign.begin(), from.foreign.end(), begin,
                             [](const TextRange& r, size_t b) { return r.end <= b; });
  for (; at != from.foreign.end() && at->begin < end; ++at)
    add(foreign, shift + std::max(at->begin, begin) - begin,
        shift + std::min(at->end, end) - begin);
  text += part;
}

void Marked::append(const Text& from) { append(from, from.text); }

}  // namespace tarn::lm::jinja
