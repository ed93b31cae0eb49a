// Weights of a GGUF file as arrays, repacked or decoded by several threads.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "io/mapped_file.h"
#include "tarn/gguf.h"

namespace tarn::io {

// One result for each tensor. Throws FileError when a type cannot be read and ValueError when
// `order` names a row that is not there.
std::vector<GgufWeight> load_weights(const std::shared_ptr<const FileBytes>& file,
                                     std::span<const GgufTensor> tensors, const GgufRowOrder& order,
                                     int threads);
// The same without reading a weight: what has to be made reads as zeros. `memory_bytes` becomes
// what load_weights takes for it.
std::vector<GgufWeight> outline_weights(const std::shared_ptr<const FileBytes>& file,
                                        std::span<const GgufTensor> tensors,
                                        const GgufRowOrder& order, size_t& memory_bytes);

}  // namespace tarn::io
