// What a GGUF file declares, read and checked without touching the tensors' data.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "tarn/gguf.h"

namespace tarn::io {

struct GgufHeader {
  uint32_t version = 0;
  std::vector<std::pair<std::string_view, GgufValue>> metadata{};
  std::vector<GgufTensor> tensors{};
  std::unordered_map<std::string_view, size_t> key_index{}, tensor_index{};
};

// Checks everything that later reads rely on: counts, types, names, and that tensors lie inside the
// file without overlap. The result points into `file`. Throws FileError.
GgufHeader parse_gguf(std::span<const std::byte> file, const std::string& path);

struct GgmlLayout {
  GgmlType type = GgmlType::f32;
  const char* name = nullptr;
  uint32_t block = 1;  // numbers in a block
  uint32_t bytes = 4;  // bytes of a block
};
const GgmlLayout* find_layout(uint32_t type);
const GgmlLayout& layout_of(GgmlType type);

// Bytes of one element; 0 for strings and lists.
size_t size_of(GgufValue::Type type);
const char* name_of(GgufValue::Type type);

}  // namespace tarn::io
