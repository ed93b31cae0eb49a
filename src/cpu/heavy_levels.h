// The kernels of one level, as its files define them and its table names them.
#pragma once

#include "cpu/heavy.h"

namespace tarn::cpu {

namespace TARN_LEVEL {
void qmm_exact(const Qmm& q, int worker, int workers);
size_t qmm_exact_scratch(const Qmm& q, int workers);
void qmm_balanced(const Qmm& q, int worker, int workers);
size_t qmm_balanced_scratch(const Qmm& q, int workers);
void pack_activations(const PackActivations& p, int worker, int workers);
size_t packed_bytes(int64_t m, int64_t cols, int group);
void dequantize(const Dequantize& d, int worker, int workers);
void quantize(const Quantize& q, int worker, int workers);
void gemm(const Gemm& g, int worker, int workers);
size_t gemm_scratch(const Gemm& g, int workers);
void gemm64(const Gemm64& g, int worker, int workers);
size_t gemm64_scratch(const Gemm64& g, int workers);
void attention(const Attention& a, int worker, int workers);
size_t attention_scratch(const Attention& a, int workers);
void softmax(const Rows& r, int worker, int workers);
void rms_norm(const Rows& r, int worker, int workers);
void layer_norm(const Rows& r, int worker, int workers);
void logsumexp(const Rows& r, int worker, int workers);
void fold_rows(const FoldRows& f, int worker, int workers);
void argmax_rows(const ArgmaxRows& a, int worker, int workers);
void multiply_taps(const Taps<float>& t);
void multiply_taps64(const Taps<double>& t);
void fft(const FftLines<float>& f, int worker, int workers);
size_t fft_scratch(const FftLines<float>& f, int workers);
void fft64(const FftLines<double>& f, int worker, int workers);
size_t fft64_scratch(const FftLines<double>& f, int workers);
void fft_planes(const FftPlan<double>& p, double* re, double* im, void* scratch);
extern const Heavy kernels;
}  // namespace TARN_LEVEL

}  // namespace tarn::cpu
