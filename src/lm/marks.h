// Marks in a text that comes in pieces.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string_view>

namespace tarn::lm {

struct FoundMark {
  size_t at = std::string_view::npos, size = 0;
  bool is_there() const { return at != std::string_view::npos; }
};

// The first of the marks in `text`; where several begin at one place, the one that is named first.
template <class Marks>
FoundMark first_mark(std::string_view text, const Marks& marks) {
  FoundMark first;
  for (std::string_view mark : marks)
    if (size_t at = text.find(mark); at < first.at) first = {at, mark.size()};
  return first;
}

// How many bytes of the end of `text` may still become a mark.
template <class Marks>
size_t held_back(std::string_view text, const Marks& marks) {
  size_t most = 0;
  for (std::string_view mark : marks)
    for (size_t n = std::min(mark.size() - 1, text.size()); n > most; --n)
      if (mark.starts_with(text.substr(text.size() - n))) most = n;
  return most;
}

}  // namespace tarn::lm
