// A part of a text.
#pragma once

#include <cstddef>

namespace tarn::lm {

// Bytes [begin, end).
struct TextRange {
  size_t begin = 0, end = 0;
};

}  // namespace tarn::lm
