// Products of chosen matrices, segments and blocks.
#pragma once

#include <optional>

#include "tarn/array.h"

namespace tarn {

// For each pair of indices, broadcast against each other, a[lhs] (M, K) times b[rhs] (K, N):
// (pairs..., M, N). Indices count the matrices of a and of b in row order and default to all of
// them; one that is outside throws IndexError at evaluation. 1-d operands get an axis that is
// dropped again. Neighbouring pairs that share b and take following rows of a are one product.
array gather_mm(array a, array b, std::optional<array> lhs_indices = std::nullopt,
                std::optional<array> rhs_indices = std::nullopt, bool sorted_indices = false,
                StreamOrDevice s = {});
// a[:, start:stop] times b[start:stop, :] for each (start, stop) of `segments` (..., 2), a being
// (M, K) and b (K, N): (..., M, N). A segment that is empty gives zeros; one that leaves [0, K]
// throws IndexError at evaluation.
array segmented_mm(array a, array b, array segments, StreamOrDevice s = {});
// The product of a (..., M, K) and b (..., K, N) with blocks of block_size, 32 or 64, on a side
// kept where a mask (..., rows of blocks, columns of blocks) is true, or scaled by it when it is a
// float.
array block_masked_mm(array a, array b, int block_size,
                      std::optional<array> mask_out = std::nullopt,
                      std::optional<array> mask_lhs = std::nullopt,
                      std::optional<array> mask_rhs = std::nullopt, StreamOrDevice s = {});
// The last axis, of size m * 2^k with m 1, 12, 20 or 28, times a Hadamard matrix: Sylvester's of
// order 2^k and one of order m, Williamson's for 12 and 28. Scaled by `scale`, by default 1 / sqrt
// of the size. Integers become float32.
array hadamard_transform(const array& a, std::optional<float> scale = std::nullopt,
                         StreamOrDevice s = {});

}  // namespace tarn
