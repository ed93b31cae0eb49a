// The fixed parts of a function file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace tarn::function_file {

// A byte that is no text, and line ends of two kinds, so that a transfer as text is noticed.
inline constexpr std::string_view magic{"\x89TARNF\r\n", 8};
inline constexpr uint32_t version = 1;
inline constexpr uint64_t alignment = 64;
inline constexpr size_t front_bytes = 28;

// FNV-1a with 64 bits (Fowler, Noll, Vo).
inline uint64_t checksum(std::span<const std::byte> bytes) {
  uint64_t h = 0xcbf29ce484222325;
  for (std::byte b : bytes) h = (h ^ static_cast<uint64_t>(b)) * 0x100000001b3;
  return h;
}

}  // namespace tarn::function_file
