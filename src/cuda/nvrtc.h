// CUDA's compiler at run time, where its library is found.
#pragma once

#include <string>

namespace tarn::cuda {

struct Compilation {
  std::string binary{};  // empty: it failed
  std::string log{};
};
// Whether libnvrtc is there; looked for once.
bool has_compiler();
// Machine code for compute capability `capability` (90: sm_90) of a source that may include the
// formulas, chain_builtins.h, chain_kernel.h, custom_words.h and, where it is installed, the
// toolkit's headers.
Compilation compile_source(const std::string& text, int capability);
// Names what compile_source makes of the text: the compiler's version, the headers' text and the
// capability are in it.
std::string name_of_compiled(const std::string& text, int capability);

}  // namespace tarn::cuda
