// Sequences of different lengths that take one step together, each with a cache of its own. (Not in
// MLX.)
#pragma once

#include <cstdint>
#include <vector>

#include "tarn/array.h"
#include "tarn/device.h"

namespace tarn {

// cache (1, H, S, D) with row `row` of rows (B, H, T, D) in positions [start, start + T). Of one
// dtype. `start` may change from call to call without a new plan.
array append_row(const array& cache, const array& rows, int64_t row, int64_t start,
                 StreamOrDevice s = {});

// softmax(scale * q kᵀ) v of one query a row, each over its own cache: queries (B, Hq, 1, D), keys
// and values B times (1, Hk, S, D), S of each row's own, of which the first lengths[row] count. Hk
// divides Hq; keys and values are of one dtype, which may be narrower than the queries'. A row's
// numbers are those of cached_attention. Lengths may change without a new plan.
array ragged_attention(const array& queries, const std::vector<array>& keys,
                       const std::vector<array>& values, const std::vector<int64_t>& lengths,
                       float scale, StreamOrDevice s = {});

}  // namespace tarn
