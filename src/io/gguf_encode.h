// Affine weights as GGML's blocks.
#pragma once

#include <cstddef>
#include <vector>

#include "tarn/gguf.h"

namespace tarn::io {

// The numbers of a weight that gguf_type_of has a type for, as they lie in a file.
std::vector<std::byte> encode_blocks(const GgufQuantised& weight, GgmlType type);

}  // namespace tarn::io
