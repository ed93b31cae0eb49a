#include "io/gguf_values.h"

#include <cstring>

#include "io/gguf_header.h"

namespace tarn::io {
namespace {

using Type = GgufValue::Type;

template <class T>
T at(const GgufValue& v, uint64_t i) {
  T value;
  std::memcpy(&value, v.data + i * sizeof(T), sizeof(T));
  return value;
}

}  // namespace

std::optional<int64_t> integer_at(const GgufValue& v, uint64_t i) {
  switch (v.type) {
    case Type::uint8:
      return at<uint8_t>(v, i);
    case Type::int8:
      return at<int8_t>(v, i);
    case Type::uint16:
      return at<uint16_t>(v, i);
    case Type::int16:
      return at<int16_t>(v, i);
    case Type::uint32:
      return at<uint32_t>(v, i);
    case Type::int32:
      return at<int32_t>(v, i);
    case Type::int64:
      return at<int64_t>(v, i);
    case Type::uint64: {
      auto value = at<uint64_t>(v, i);
      if (value > uint64_t{INT64_MAX}) return std::nullopt;
      return static_cast<int64_t>(value);
    }
    default:
      return std::nullopt;
  }
}

std::optional<double> number_at(const GgufValue& v, uint64_t i) {
  switch (v.type) {
    case Type::float32:
      return at<float>(v, i);
    case Type::float64:
      return at<double>(v, i);
    case Type::uint64:
      return static_cast<double>(at<uint64_t>(v, i));
    default:
      break;
  }
  auto integer = integer_at(v, i);
  if (!integer) return std::nullopt;
  return static_cast<double>(*integer);
}

std::vector<std::string_view> texts_of(const GgufValue& v) {
  std::vector<std::string_view> texts;
  texts.reserve(v.count);
  const std::byte* from = v.data;
  for (uint64_t i = 0; i < v.count; ++i) {
    uint64_t length = 0;
    std::memcpy(&length, from, sizeof(length));
    from += sizeof(length);
    texts.emplace_back(reinterpret_cast<const char*>(from), length);
    from += length;
  }
  return texts;
}

}  // namespace tarn::io
