// A GGUF file with everything it says: typed metadata, tensors in the order of the file, weights.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "tarn/array.h"

namespace tarn {

// How the numbers of a tensor are stored; the values are the file's.
// clang-format off
enum class GgmlType : uint32_t {
  f32 = 0, f16 = 1, q4_0 = 2, q4_1 = 3, q5_0 = 6, q5_1 = 7, q8_0 = 8,
  q2_k = 10, q3_k = 11, q4_k = 12, q5_k = 13, q6_k = 14,
  iq2_xxs = 16, iq2_xs = 17, iq3_xxs = 18, iq1_s = 19, iq4_nl = 20, iq3_s = 21, iq2_s = 22,
  iq4_xs = 23, i8 = 24, i16 = 25, i32 = 26, i64 = 27, f64 = 28, iq1_m = 29, bf16 = 30,
  tq1_0 = 34, tq2_0 = 35, mxfp4 = 39,
};
// clang-format on
const char* name_of(GgmlType t);  // as llama.cpp writes it: "Q4_1"

// One value of the metadata, or a list of them, as it lies in the file.
struct GgufValue {
  // clang-format off
  enum class Type : uint32_t {
    uint8, int8, uint16, int16, uint32, int32, float32, bool_, string, list, uint64, int64, float64,
  };
  // clang-format on
  Type type = Type::uint8;  // of the value, or of each one in the list; never `list`
  bool is_list = false;
  uint64_t count = 1;
  const std::byte* data = nullptr;  // little-endian; a string is its length in 8 bytes, then itself
};

struct GgufTensor {
  std::string_view name{};
  GgmlType type = GgmlType::f32;
  Shape shape{};        // row-major: the last axis is the one that is contiguous (and quantised)
  uint64_t offset = 0;  // of the first byte in the file
  std::span<const std::byte> bytes{};

  int64_t columns() const { return shape.back(); }
  int64_t rows() const;
};

// A weight in groups of 32 along its last axis: w = scales * code + biases. `weight` is uint32 with
// the codes packed as quantized_matmul reads them; scales and biases are float16.
struct GgufQuantised {
  array weight{}, scales{}, biases{};
  int group_size = 32;
  int bits = 4;
};
// F32 F16 BF16 F64 I8 I16 I32 I64: the array itself, lying in the file.
// Q4_0 Q4_1 Q5_0 Q5_1 Q8_0: repacked, exactly. When a bias of Q4_0, Q5_0 or Q8_0 (a scale times -8,
// -16 or -128) leaves the range of float16, the tensor comes dense in float32 instead.
// Q2_K Q3_K Q4_K Q5_K Q6_K IQ4_NL: decoded to float16.
using GgufWeight = std::variant<array, GgufQuantised>;
using GgufWeights = std::unordered_map<std::string, GgufWeight>;

// Weights without their numbers.
struct GgufOutline {
  GgufWeights weights{};    // what is to be repacked or decoded reads as zeros
  size_t memory_bytes = 0;  // what load_all takes for it
};

// The type that holds a quantised weight (any number of axes, groups of 32, 64 or 128) to the last
// bit: Q4_0, Q4_1 or Q8_0. Nothing where none does.
std::optional<GgmlType> gguf_type_of(const GgufQuantised& weight);

// Which row of the file each row of the result is; empty for the order of the file. Files made for
// llama.cpp hold some rows permuted.
using GgufRowOrder = std::function<std::vector<int64_t>(const GgufTensor&)>;

// A GGUF file, mapped and checked. Copies share it; any thread may use it. Texts and tensors' bytes
// are views that live as long as the last copy.
class GgufFile {
 public:
  static GgufFile open(const std::string& path);

  const std::string& path() const;
  uint32_t version() const;
  const std::vector<std::pair<std::string_view, GgufValue>>& metadata() const;
  const std::vector<GgufTensor>& tensors() const;

  // The metadata value of that key, or nullptr.
  const GgufValue* find(std::string_view key) const;
  bool has(std::string_view key) const { return find(key) != nullptr; }
  // The value, brought to the type that is asked for. Throws FileError when the file has no such
  // key (unless `otherwise` is given) or holds something else there.
  int64_t integer(std::string_view key, std::optional<int64_t> otherwise = std::nullopt) const;
  double number(std::string_view key, std::optional<double> otherwise = std::nullopt) const;
  bool boolean(std::string_view key, std::optional<bool> otherwise = std::nullopt) const;
  std::string_view text(std::string_view key,
                        std::optional<std::string_view> otherwise = std::nullopt) const;
  // Lists; a single value is a list of one.
  std::vector<int64_t> integers(std::string_view key) const;
  std::vector<float> numbers(std::string_view key) const;
  std::vector<std::string_view> texts(std::string_view key) const;

  // nullptr when there is no such tensor.
  const GgufTensor* find_tensor(std::string_view name) const;
  // One weight. Throws FileError when there is no such tensor or its type cannot be read.
  GgufWeight tensor(std::string_view name, const GgufRowOrder& order = {}) const;
  // Every weight; repacking and decoding are spread over `threads` (0: as many as the machine has
  // processors, at most 8).
  GgufWeights load_all(const GgufRowOrder& order = {}, int threads = 0) const;
  // What load_all gives, as shapes and dtypes; no weight is read. A tensor whose biases leave
  // float16 is taken for one whose do not.
  GgufOutline outline(const GgufRowOrder& order = {}) const;

 private:
  struct Content;
  explicit GgufFile(std::shared_ptr<const Content> content) : content_(std::move(content)) {}
  std::shared_ptr<const Content> content_;
};

}  // namespace tarn
