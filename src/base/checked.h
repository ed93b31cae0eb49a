// Sizes that come from a file or a caller: arithmetic that says so when it overflows.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

namespace tarn {

// a * b, or nothing when the product does not fit. Operands must not be negative.
inline std::optional<int64_t> checked_mul(int64_t a, int64_t b) {
  int64_t product = 0;
  if (a < 0 || b < 0 || __builtin_mul_overflow(a, b, &product)) return std::nullopt;
  return product;
}

// a + b, or nothing when the sum does not fit. Operands must not be negative.
inline std::optional<int64_t> checked_add(int64_t a, int64_t b) {
  int64_t sum = 0;
  if (a < 0 || b < 0 || __builtin_add_overflow(a, b, &sum)) return std::nullopt;
  return sum;
}

}  // namespace tarn
