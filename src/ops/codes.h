// Codes of quantised numbers in array operations: how they are packed and what they stand for.
#pragma once

#include <optional>
#include <string>

#include "ops/compound.h"

namespace tarn::ops {

struct Format {
  Coding coding = Coding::affine;
  int group = 64, bits = 4;
};
// What a caller asked for. Throws ValueError.
Format checked_format(const char* op, std::optional<int> group_size, std::optional<int> bits,
                      const std::string& mode);
// Codes, scales and biases that belong together; throws ValueError or ShapeError otherwise.
void check_weights(const char* op, const array& w, const array& scales,
                   const std::optional<array>& biases, const Format& f);
// A block's global scale is a float scalar, and a mode's own. Throws ValueError.
void check_global_scale(const char* op, const std::optional<array>& scale, const Format& f);
// The inputs that weights are to an op; scales and biases in one dtype.
Arrays weights(const array& w, const array& scales, const std::optional<array>& biases);

// Codes (..., W * 32 / bits) as uint32 from words (..., W), and the inverse.
array unpacked(const array& words, int bits);
array packed(const array& codes, int bits);
// x (..., K) as (..., K / group, group).
array grouped(const array& x, int group);
// Numbers (..., K / group, group) that stand under `scales`, which are numbers already.
array scaled_codes(const array& words, const array& scales, const Format& f);
// Scales as they are stored, as numbers of dtype `t`.
array scale_numbers(const array& scales, Coding coding, Dtype t);
// What global scale g multiplies block scales by: g / (448 * 6).
array global_factor(const array& g);

}  // namespace tarn::ops
