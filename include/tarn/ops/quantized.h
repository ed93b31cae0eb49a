// Quantised numbers in MLX's layouts, and the products that take them.
//
// mode      groups        bits           scales                 a value is
// "affine"  32, 64, 128   2-6 or 8       floats, with biases    scale * code + bias
// "mxfp4"   32            4              uint8, 2^(s - 127)     scale * E2M1(code)
// "mxfp8"   32            8              uint8, 2^(s - 127)     scale * E4M3(code)
// "nvfp4"   16            4              uint8, E4M3            scale * E2M1(code)
//
// Groups and bits default to 64 and 4 when affine, else to the only ones there are. Codes are a
// little-endian bit stream along the last axis, in uint32 words. What does not fit throws
// ValueError or ShapeError.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "tarn/array.h"

namespace tarn {

// {w_q uint32 (..., K * bits / 32), scales (..., K / group)[, biases]} of floats w (..., K), at
// least 2-d. Float codes and scales are those of OCP Microscaling Formats (MX) 1.0, but a power of
// two is rounded up, so that nothing saturates; ties of 4-bit codes go to the smaller number, as in
// MLX on the CPU. A group that holds NaN or
// infinity gets the scale 255 ("mx...") or 126. With a `global_scale` g ("nvfp4" only: a float32
// scalar, the largest magnitude of w) block scales are stored times 448 * 6 / g.
std::vector<array> quantize(const array& w, std::optional<int> group_size = std::nullopt,
                            std::optional<int> bits = std::nullopt,
                            const std::string& mode = "affine",
                            const std::optional<array>& global_scale = std::nullopt,
                            StreamOrDevice s = {});
// The inverse, in `dtype`: by default that of scales and biases, or bfloat16 where scales are
// bytes.
array dequantize(const array& w, const array& scales,
                 const std::optional<array>& biases = std::nullopt,
                 std::optional<int> group_size = std::nullopt,
                 std::optional<int> bits = std::nullopt, const std::string& mode = "affine",
                 const std::optional<array>& global_scale = std::nullopt,
                 std::optional<Dtype> dtype = std::nullopt, StreamOrDevice s = {});

// The float8 E4M3 numbers of bytes, as floats of `dtype`; 127 and 255 are NaN.
array from_fp8(array x, Dtype dtype, StreamOrDevice s = {});
// Floats rounded to E4M3, ties to even. What is larger than 448, and NaN, becomes 448.
array to_fp8(array x, StreamOrDevice s = {});

// x (..., M, K) or (K,) times the dequantised w, transposed (w is (..., N, K)) or not (w is
// (..., K, N)); batches broadcast. The result's dtype is that of x, scales and biases together, or
// of x where scales are bytes; sums are float32 at least. In Precision::balanced an affine x is
// rounded to 16 bits per group before the product, or, where AMX multiplies 16 rows or more, x and
// w to bfloat16. Derivatives: by x and, when affine, by scales and biases.
array quantized_matmul(array x, array w, array scales,
                       const std::optional<array>& biases = std::nullopt, bool transpose = true,
                       std::optional<int> group_size = std::nullopt,
                       std::optional<int> bits = std::nullopt, const std::string& mode = "affine",
                       StreamOrDevice s = {});
// For each pair of indices, broadcast against each other, x[lhs] (M, K) times the dequantised
// w[rhs]: (pairs..., M, N). Indices count the matrices of x and of w in row order, and default to
// all of them; an index that is outside throws IndexError at evaluation. Neighbouring pairs that
// share w and take following rows of x are one product, so sorted experts cost what dense ones do;
// `sorted_indices` is not needed for that. Always Precision::exact.
array gather_qmm(const array& x, const array& w, const array& scales,
                 const std::optional<array>& biases = std::nullopt,
                 std::optional<array> lhs_indices = std::nullopt,
                 std::optional<array> rhs_indices = std::nullopt, bool transpose = true,
                 std::optional<int> group_size = std::nullopt,
                 std::optional<int> bits = std::nullopt, const std::string& mode = "affine",
                 bool sorted_indices = false, StreamOrDevice s = {});

// x (..., M, K), quantised on the way, times transposed w: quantised (N, K / ...) with `w_scales`,
// or floats (N, K) that are quantised as well. Modes of float codes only; "nvfp4" takes a global
// scale of both or of neither. Derivatives pass through the rounding as if it were not there.
array qqmm(array x, array w, std::optional<array> w_scales = std::nullopt,
           std::optional<int> group_size = std::nullopt, std::optional<int> bits = std::nullopt,
           const std::string& mode = "nvfp4", std::optional<array> global_scale_x = std::nullopt,
           std::optional<array> global_scale_w = std::nullopt, StreamOrDevice s = {});
// The same for pairs of indices, as in gather_qmm.
array gather_qqmm(const array& x, const array& w,
                  const std::optional<array>& scales_w = std::nullopt,
                  std::optional<array> lhs_indices = std::nullopt,
                  std::optional<array> rhs_indices = std::nullopt,
                  std::optional<int> group_size = std::nullopt,
                  std::optional<int> bits = std::nullopt, const std::string& mode = "nvfp4",
                  const std::optional<array>& global_scale_x = std::nullopt,
                  const std::optional<array>& global_scale_w = std::nullopt,
                  bool sorted_indices = false, StreamOrDevice s = {});

// How exact quantised products are, and attention on a GPU. Each op records the thread's choice.
enum class Precision : uint8_t { exact, balanced };
Precision default_precision();
// Sets the calling thread's precision while it lives.
class PrecisionScope {
 public:
  explicit PrecisionScope(Precision p);
  ~PrecisionScope();
  PrecisionScope(const PrecisionScope&) = delete;
  PrecisionScope& operator=(const PrecisionScope&) = delete;

 private:
  Precision before_;
};

}  // namespace tarn
