// Batches: which examples go together, in an order that the seed decides, and as arrays.
#pragma once

#include <cstdint>
#include <vector>

#include "tarn/array.h"
#include "tarn/lm/train_data.h"

namespace tarn::lm {

// The examples of a batch, by their places in the set.
using Rows = std::vector<size_t>;

// An epoch's batches: examples of about one length go together, so that little is padding, and
// batches follow each other in random order. The last batches of a length may have fewer rows.
std::vector<Rows> epoch_batches(const TrainSet& set, int batch_size, uint64_t seed, int64_t epoch);
// In the order of lengths, for judging.
std::vector<Rows> plain_batches(const TrainSet& set, int batch_size);

// The rows in parts of at most `most` tokens with their padding, a row at least.
std::vector<Rows> parts_of(const TrainSet& set, const Rows& rows, int64_t most);

struct Batch {
  array ids{};      // (B, n) int32, padded behind the ends
  array places{};   // (k,) int32: where in ids, flattened, something counted is predicted
  array targets{};  // (k,) int32: what
  array weights{};  // (k,) float32: 1, or 0 for places that only fill up
  int64_t counted = 0;
  TARN_FIELDS(ids, places, targets, weights)
};
// n and k are rounded up to eight sizes an octave, so that plans repeat.
Batch make_batch(const TrainSet& set, const Rows& rows);

}  // namespace tarn::lm
