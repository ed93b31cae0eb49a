// MLX's affine quantiser, and every quantiser's inverse, a row at a time.
//
// A group's scale is its range over the largest code, signed so that the edge of larger magnitude
// is met exactly: that edge becomes the bias. All arithmetic is float32, whatever the input's
// type, and the divisions are true divisions, so the codes equal MLX's.

#include "cpu/heavy_floats.h"
#include "cpu/heavy_levels.h"

namespace tarn::cpu::TARN_LEVEL {
namespace {

constexpr int64_t kGroupMax = 128;

struct Affine {
  float scale = 0, bias = 0;
};

Affine fit_group(const float* x, int64_t n, int bits) {
  constexpr float kSmallestScale = 1e-7f;
  float low = x[0], high = x[0];
  for (int64_t i = 1; i < n; ++i) {
    low = x[i] < low ? x[i] : low;
    high = x[i] > high ? x[i] : high;
  }
  const float codes = static_cast<float>((1 << bits) - 1);
  const float step = (high - low) / codes;
  const float size = step > kSmallestScale ? step : kSmallestScale;
  const bool from_low = __builtin_fabsf(low) > __builtin_fabsf(high);
  const float edge = from_low ? low : high;
  const float scale = from_low ? size : -size;
  const float edge_code = __builtin_rintf(edge / scale);
  if (edge_code == 0) return {scale, 0};
  return {edge / edge_code, edge};
}

void encode_group(const float* x, int64_t n, Affine a, int bits, uint8_t* codes) {
  const float top = static_cast<float>((1 << bits) - 1);
  for (int64_t i = 0; i < n; ++i) {
    const float q = __builtin_rintf((x[i] - a.bias) / a.scale);
    const float clipped = q > 0 ? (q < top ? q : top) : 0;  // NaN becomes 0
    codes[i] = static_cast<uint8_t>(clipped);
  }
}

// 8 codes to `bits` bytes, little end first.
void pack_codes(const uint8_t* codes, int64_t n, int bits, uint8_t* to) {
  for (int64_t i = 0; i < n; i += 8, to += bits) {
    uint64_t word = 0;
    for (int j = 0; j < 8; ++j) word |= uint64_t{codes[i + j]} << (j * bits);
    std::memcpy(to, &word, static_cast<size_t>(bits));
  }
}

template <Store S>
void quantize_row(const Quantize& q, int64_t row) {
  const int64_t groups = q.cols / q.group;
  auto* to = static_cast<uint8_t*>(q.codes) + row * (q.cols * q.bits / 8);
  for (int64_t g = 0; g < groups; ++g, to += q.group * q.bits / 8) {
    float x[kGroupMax];
    uint8_t codes[kGroupMax];
    for (int64_t i = 0; i < q.group; ++i) x[i] = get<S>(q.x, row * q.x_stride + g * q.group + i);
    const Affine a = fit_group(x, q.group, q.bits);
    encode_group(x, q.group, a, q.bits, codes);
    pack_codes(codes, q.group, q.bits, to);
    put<S>(q.scales, row * groups + g, a.scale);
    put<S>(q.biases, row * groups + g, a.bias);
  }
}

template <class Codes, Store Out>
void dequantize_row(const Dequantize& d, int64_t row) {
  float x[kDecodeRun];
  for (int64_t c = 0; c < d.w.cols; c += kDecodeRun) {
    const int64_t n = smaller(kDecodeRun, d.w.cols - c), at = row * d.out_stride + c;
    decode_run<Codes>(d.w, row, c, n, x);
    for (int64_t i = 0; i < n; i += kLanes) put_vector<Out>(d.out, at + i, load(x + i));
  }
}

}  // namespace

void quantize(const Quantize& q, int worker, int workers) {
  const Range rows = share(q.rows, 1, worker, workers);
  with_store(q.type, [&]<Store S>() {
    for (int64_t r = rows.begin; r < rows.end; ++r) quantize_row<S>(q, r);
  });
}

void dequantize(const Dequantize& d, int worker, int workers) {
  const Range rows = share(d.w.rows, 1, worker, workers);
  with_codes(d.w, [&]<class Codes>() {
    with_store(d.out_type, [&]<Store Out>() {
      for (int64_t r = rows.begin; r < rows.end; ++r) dequantize_row<Codes, Out>(d, r);
    });
  });
}

}  // namespace tarn::cpu::TARN_LEVEL
