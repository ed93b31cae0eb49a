// Rotary embeddings for contexts longer than a model was first trained on.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "tarn/array.h"
#include "tarn/fields.h"

namespace tarn::lm {

struct RopeScaling {
  std::string rope_type = "default";
  float factor = 1, low_freq_factor = 1, high_freq_factor = 4;
  int64_t original_max_position_embeddings = 8192;
  TARN_FIELDS(rope_type, factor, low_freq_factor, high_freq_factor,
              original_max_position_embeddings)
};

// The period of each rotated pair by Llama 3's rule, float32 (head_size / 2,): long waves are
// slowed by `factor`, short ones kept, with a smooth change between. Nothing for other types.
std::optional<array> scaled_periods(const std::optional<RopeScaling>& scaling, float theta,
                                    int64_t head_size);

}  // namespace tarn::lm
