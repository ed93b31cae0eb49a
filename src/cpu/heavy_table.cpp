// The table of one level.

#include "cpu/heavy_levels.h"

namespace tarn::cpu::TARN_LEVEL {

constinit const Heavy kernels{
    .qmm_exact = qmm_exact,
    .qmm_exact_scratch = qmm_exact_scratch,
    .qmm_balanced = qmm_balanced,
    .qmm_balanced_scratch = qmm_balanced_scratch,
    .pack_activations = pack_activations,
    .packed_bytes = packed_bytes,
    .dequantize = dequantize,
    .quantize = quantize,
    .gemm = gemm,
    .gemm_scratch = gemm_scratch,
    .gemm64 = gemm64,
    .gemm64_scratch = gemm64_scratch,
    .attention = attention,
    .attention_scratch = attention_scratch,
    .softmax = softmax,
    .rms_norm = rms_norm,
    .layer_norm = layer_norm,
    .logsumexp = logsumexp,
    .fold_rows = fold_rows,
    .argmax_rows = argmax_rows,
    .multiply_taps = multiply_taps,
    .multiply_taps64 = multiply_taps64,
    .fft = fft,
    .fft_scratch = fft_scratch,
    .fft64 = fft64,
    .fft64_scratch = fft64_scratch,
    .fft_planes = fft_planes,
};

}  // namespace tarn::cpu::TARN_LEVEL
