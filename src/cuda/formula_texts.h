// The headers that chains and programs' own kernels include, as text; the build writes the
// definition.
#pragma once

#include <array>

namespace tarn::cuda {

struct HeaderText {
  const char* name = nullptr;
  const char* text = nullptr;
};
extern const std::array<HeaderText, 9> formula_texts;

}  // namespace tarn::cuda
