// Products with quantised weights that a low-rank term goes along with.
#pragma once

#include <optional>
#include <string>

#include "tarn/array.h"
#include "tarn/device.h"

namespace tarn {

// x wᵀ + (x a) b, of x (..., K), w and its scales and biases for (N, K) as quantized_matmul takes
// them, a (K, rank) and b (rank, N), in float32 at least: (..., N). Where it pays, the term is
// added while the sums of the product are in registers, there and in derivatives; what is rounded
// of it is below 2^-16 of its parts whatever the product's precision is.
array low_rank_matmul(const array& x, const array& w, const array& scales,
                      const std::optional<array>& biases, const array& a, const array& b,
                      std::optional<int> group_size = std::nullopt,
                      std::optional<int> bits = std::nullopt, const std::string& mode = "affine",
                      StreamOrDevice s = {});

}  // namespace tarn
