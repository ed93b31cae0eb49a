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

// y + (x a[i]) b[i] row by row, i being the row's number in `index`, of y (..., N), x (..., K), a
// (terms, K, rank), b (terms, rank, N) and as many integers as x has rows, where -1 is the last
// term: (..., N), in y's dtype and computed in float32 at least. IndexError when it is evaluated
// with a number that no term has.
array low_rank_rows(const array& y, const array& x, const array& a, const array& b,
                    const array& index, StreamOrDevice s = {});

}  // namespace tarn
