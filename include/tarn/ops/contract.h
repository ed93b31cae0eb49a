// Products of matrices, dense and quantised.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "tarn/array.h"

namespace tarn {

// NumPy's matmul: (..., M, K) x (..., K, N) with broadcast batches; 1-d operands get an axis that
// is dropped again. Floats only, accumulated in at least float32.
array matmul(const array& a, const array& b, StreamOrDevice s = {});
// alpha * (a @ b) + beta * c.
array addmm(array c, array a, array b, const float& alpha = 1.f, const float& beta = 1.f,
            StreamOrDevice s = {});
array inner(const array& a, const array& b, StreamOrDevice s = {});
array outer(const array& a, const array& b, StreamOrDevice s = {});
array tensordot(const array& a, const array& b, int axis = 2, StreamOrDevice s = {});
array tensordot(const array& a, const array& b, const std::vector<int>& axes_a,
                const std::vector<int>& axes_b, StreamOrDevice s = {});

// {w_q uint32 (..., K * bits / 32), scales (..., K / group), biases} of w (..., K): the affine form
// w = scale * q + bias with q in [0, 2^bits). bits 2, 3, 4, 5, 6 or 8; groups of 32, 64 or 128.//
// The sum of conj(a) b along an axis, which has one size in both; the others broadcast.
array vecdot(const array& a, const array& b, int axis = -1, StreamOrDevice s = {});
// Kronecker's product: every element of a times all of b, as blocks. Axes are aligned at the end.
array kron(const array& a, const array& b, StreamOrDevice s = {});

std::vector<array> quantize(const array& w, std::optional<int> group_size = std::nullopt,
                            std::optional<int> bits = std::nullopt,
                            const std::string& mode = "affine", StreamOrDevice s = {});
array dequantize(const array& w, const array& scales,
                 const std::optional<array>& biases = std::nullopt,
                 std::optional<int> group_size = std::nullopt,
                 std::optional<int> bits = std::nullopt, const std::string& mode = "affine",
                 std::optional<Dtype> dtype = std::nullopt, StreamOrDevice s = {});
// x (..., K) times the dequantised w, transposed (w is (N, K)) or not (w is (K, N)).
// In Precision::balanced x is rounded to 16 bits per group before the product, or, where AMX
// multiplies 16 rows or more, x and w to bfloat16.
array quantized_matmul(array x, array w, array scales,
                       const std::optional<array>& biases = std::nullopt, bool transpose = true,
                       std::optional<int> group_size = std::nullopt,
                       std::optional<int> bits = std::nullopt, const std::string& mode = "affine",
                       StreamOrDevice s = {});

// How exact quantised products are. The calling thread's choice is recorded into each op.
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
