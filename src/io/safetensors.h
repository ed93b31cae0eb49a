// What a safetensors file declares, read and checked without touching the tensors' data.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "tarn/dtype.h"
#include "tarn/shape.h"

namespace tarn::io {

struct SafetensorsTensor {
  std::string name{};
  Dtype dtype{};
  Shape shape{};
  std::span<const std::byte> bytes{};
};

struct SafetensorsHeader {
  std::vector<SafetensorsTensor> tensors{};  // in the order of their data
  std::unordered_map<std::string, std::string> metadata{};
};

// Checks that every tensor has the size its shape needs and that together they cover the data
// section exactly: no hole, no overlap, no byte left over. The tensors' bytes point into `file`.
SafetensorsHeader parse_safetensors(std::span<const std::byte> file, const std::string& path);

}  // namespace tarn::io
