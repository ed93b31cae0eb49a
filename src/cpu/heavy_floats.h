// Weights as float32 whatever their codes: affine ones, or small floats with one scale a group.
#pragma once

#include "cpu/heavy_codes.h"

namespace tarn::cpu::TARN_LEVEL {
namespace {

// E2M1: 16 numbers, sign in bit 3. By table, since as bits 0.5 would be a subnormal on the way.
constexpr float kE2M1[16] = {0.f,  0.5f,  1.f,  1.5f,  2.f,  3.f,  4.f,  6.f,
                             -0.f, -0.5f, -1.f, -1.5f, -2.f, -3.f, -4.f, -6.f};

// kLanes codes, one a byte.
TARN_INLINE Vf e2m1_lanes(const uint8_t* p) {
#if defined(__AVX2__)
  ByteLanes b;
  std::memcpy(&b, p, sizeof b);
  const Vi code = widen(b);
#if defined(__AVX512F__)
  return bits_as<Vf>(_mm512_permutexvar_ps(bits_as<__m512i>(code), _mm512_loadu_ps(kE2M1)));
#else
  const __m256 size = _mm256_permutevar8x32_ps(_mm256_loadu_ps(kE2M1), bits_as<__m256i>(code));
  return bits_as<Vf>(bits_as<Vi>(size) | ((code & 8) << 28));
#endif
#else
  float lanes[kLanes];
  for (int l = 0; l < kLanes; ++l) lanes[l] = kE2M1[p[l]];
  return load(lanes);
#endif
}

// E4M3: (1 + m / 8) 2^(e - 7), for e = 0 m 2^-9; 127 is NaN. Below e = 1 the formula for e > 0 is
// off by a factor and a constant, which keeps subnormals of float32, and their cost, out.
TARN_INLINE Vf e4m3_lanes(const uint8_t* p) {
  ByteLanes b;
  std::memcpy(&b, p, sizeof b);
  const Vi code = widen(b), size = code & 127;
  const Vf normal = bits_as<Vf>((size << 20) + (120 << 23));
  const Vf value = size < 8 ? normal + normal - 0x1p-6f : normal;
  const Vi nan = (size == 127) & 0x7fc00000;
  return bits_as<Vf>(bits_as<Vi>(value) | nan | ((code & 128) << 24));
}

// The same, one number, by table: a scale is met as often as 16 codes.
struct E4M3Table {
  float numbers[256] = {};
  constexpr E4M3Table() {
    for (int code = 0; code < 256; ++code) {
      const int exponent = code >> 3 & 15, fraction = code & 7;
      float value = static_cast<float>(exponent == 0 ? fraction : 8 + fraction) * 0x1p-9f;
      for (int e = 1; e < exponent; ++e) value *= 2;
      if ((code & 127) == 127) value = __builtin_nanf("");
      numbers[code] = (code & 128) != 0 ? -value : value;
    }
  }
};
constexpr E4M3Table kE4M3;
// 2^(code - 127); 255 is infinite.
TARN_INLINE float e8m0_scale(uint8_t code) {
  return bits_as<float>(code == 0 ? 0x00400000u : uint32_t{code} << 23);
}

// How a matrix's codes become floats: each(w, row, col, n, f) is each_decoded, with col and n
// multiples of the group, or of 32.
template <Store S>
struct AffineCodes {
  template <class F>
  TARN_INLINE static void each(const QuantMatrix& w, int64_t row, int64_t col, int64_t n, F f) {
    each_decoded<S>(w, row, col, n, f);
  }
};
template <CodeKind Kind>
struct FloatCodes {
  template <class F>
  TARN_INLINE static void each(const QuantMatrix& w, int64_t row, int64_t col, int64_t n, F f) {
    alignas(64) uint8_t unpacked[kDecodeRun];
    const uint8_t* codes = code_row(w, row) + col * w.bits / 8;
    if constexpr (Kind != CodeKind::mxfp8) {
      // 32 codes a step would read past a row that ends in half of them.
      n % 32 == 0 ? unpack_nibbles(codes, n, unpacked) : unpack_bits<4>(codes, n, unpacked);
      codes = unpacked;
    }
    constexpr int64_t kStep = Kind == CodeKind::nvfp4 ? 16 : 32;  // a group
    const auto* scales = static_cast<const uint8_t*>(w.scales) + row * (w.cols / kStep);
    for (int64_t i = 0; i < n; i += kStep) {
      const uint8_t code = scales[(col + i) / kStep];
      const Vf scale = splat(Kind == CodeKind::nvfp4 ? kE4M3.numbers[code] : e8m0_scale(code));
      TARN_UNROLL
      for (int64_t j = 0; j < kStep; j += kLanes) {
        const uint8_t* at = codes + i + j;
        f(i + j, scale * (Kind == CodeKind::mxfp8 ? e4m3_lanes(at) : e2m1_lanes(at)));
      }
    }
  }
};

// Calls f with the codes of w as a type: with_codes(w, [&]<class Codes>() { ... }).
template <class F>
TARN_INLINE void with_codes(const QuantMatrix& w, F f) {
  if (w.kind == CodeKind::mxfp4) return f.template operator()<FloatCodes<CodeKind::mxfp4>>();
  if (w.kind == CodeKind::mxfp8) return f.template operator()<FloatCodes<CodeKind::mxfp8>>();
  if (w.kind == CodeKind::nvfp4) return f.template operator()<FloatCodes<CodeKind::nvfp4>>();
  with_store(w.scale_type, [&]<Store S>() { f.template operator()<AffineCodes<S>>(); });
}

template <class Codes>
TARN_INLINE void decode_run(const QuantMatrix& w, int64_t row, int64_t col, int64_t n, float* to) {
  Codes::each(w, row, col, n, [&](int64_t i, Vf v) { store(to + i, v); });
}

template <class Codes>
TARN_INLINE void decode_row(const QuantMatrix& w, int64_t row, Range cols, float* to) {
  for (int64_t c = cols.begin; c < cols.end; c += kDecodeRun)
    decode_run<Codes>(w, row, c, smaller(kDecodeRun, cols.end - c), to + (c - cols.begin));
}

}  // namespace
}  // namespace tarn::cpu::TARN_LEVEL
