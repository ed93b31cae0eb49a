// The headers that a compiled chain includes, as text; the build writes the definition.
#pragma once

#include <array>

namespace tarn::cuda {

struct HeaderText {
  const char* name = nullptr;
  const char* text = nullptr;
};
extern const std::array<HeaderText, 8> formula_texts;

}  // namespace tarn::cuda
