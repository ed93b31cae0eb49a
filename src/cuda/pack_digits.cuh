// One row of x on its way into products with 4-bit codes: what stands in front of them, and its
// digits.
#pragma once

#include "cuda/digits.cuh"
#include "cuda/numbers.cuh"
#include "ops/unary.h"

namespace tarn::cuda::digits {

// Eight neighbouring numbers.
struct Word {
  float of[8];
};

// Brings x there, which is a multiple of 256 numbers long. The factor of a norm counts in the
// products' results, so that nothing waits for it here.
template <int group>
class Packer {
 public:
  __device__ Packer(const Source& from, const Digits<group>& to)
      : from_(from), to_(to), words_(from.k / 8) {}

  // Before the queue's turn.
  __device__ void prepare() {
    if (weighted()) read_weights(threadIdx.x);
    if (threadIdx.x < Digits<group>::zero_bytes / 4)
      reinterpret_cast<unsigned*>(to_.zeros)[threadIdx.x] = 0;
  }
  // Asks for the first of x.
  __device__ void begin() { read(threadIdx.x, now_); }
  // Every thread of the block sees x afterwards.
  __device__ void pack() {
    int word = static_cast<int>(threadIdx.x);
#pragma unroll 1
    for (; word + threads < words_; word += 2 * threads) {
      Word next[2];
      read(word + 2 * threads, next);
      store<2>(word);
      if (weighted()) read_weights(word + 2 * threads);
      now_[0] = next[0], now_[1] = next[1];
    }
    if (word < words_) store<1>(word);
    if (from_.normed) share();
    __syncthreads();
  }
  // What results are to be multiplied with, once x is packed.
  __device__ float factor() const {
    if (!from_.normed) return 1;
    float squares = 0;
#pragma unroll
    for (int w = 0; w < threads / 32; ++w) squares += of_warps()[w];
    return rsqrtf(squares * from_.of_k + from_.eps);
  }

 private:
  static constexpr int lanes = group / 8;
  static __device__ float* of_warps() {
    __shared__ __align__(16) float squares[threads / 32];
    return squares;
  }
  __device__ void share() const {
    float squares = squares_;
#pragma unroll
    for (int step = 16; step > 0; step /= 2) squares += __shfl_xor_sync(~0u, squares, step);
    if (threadIdx.x % 32 == 0) of_warps()[threadIdx.x / 32] = squares;
  }
  __device__ bool weighted() const { return from_.normed && from_.weight; }

  // The thread's next two words. Past the end: what was there.
  __device__ void read(int word, Word (&to)[2]) const {
#pragma unroll
    for (int j = 0; j < 2; ++j) {
      if (word + j * threads >= words_) return;
      const float* numbers = from_.numbers + (word + j * threads) * 8;
      if (from_.in_lines)
        read_lines(numbers, to[j]);
      else
        read_each(to[j], [&](int i) { return __ldcg(numbers + i); });
    }
  }
  __device__ void read_weights(int word) {
#pragma unroll
    for (int j = 0; j < 2; ++j) {
      const int first = (word + j * threads) * 8;
      if (first >= 8 * words_) return;
      if (from_.in_lines && from_.weight_type == float_column)
        read_lines(static_cast<const float*>(from_.weight) + first, weights_[j]);
      else if (from_.in_lines)
        read_line_of_halves(static_cast<const ops::u16*>(from_.weight) + first, weights_[j]);
      else
        read_each(weights_[j], [&](int i) {
          return read_number<float>(from_.weight, from_.weight_type, first + i);
        });
    }
  }
  static __device__ void read_lines(const float* from, Word& to) {
    const auto* lines = reinterpret_cast<const float4*>(from);
    float4 a = __ldcg(lines), b = __ldcg(lines + 1);
    to = {a.x, a.y, a.z, a.w, b.x, b.y, b.z, b.w};
  }
  __device__ void read_line_of_halves(const ops::u16* from, Word& to) const {
    const bool half = from_.weight_type == half_column;
    const uint4 line = __ldcg(reinterpret_cast<const uint4*>(from));
    const unsigned pairs[] = {line.x, line.y, line.z, line.w};
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      const auto bits = static_cast<ops::u16>(pairs[i / 2] >> i % 2 * 16);
      to.of[i] = half ? ops::widened(ops::Half{bits}) : ops::widened(ops::Bfloat{bits});
    }
  }
  // One after the other, in little code.
  template <class Read>
  static __device__ void read_each(Word& to, Read read) {
#pragma unroll 1
    for (int i = 0; i < 8; ++i) {
      const float number = read(i);
#pragma unroll
      for (int k = 0; k < 7; ++k) to.of[k] = to.of[k + 1];
      to.of[7] = number;
    }
  }

  // What is done to x, of the first words of those held.
  template <int count>
  __device__ void change(int word) {
    if (from_.normed) {
#pragma unroll
      for (int j = 0; j < count; ++j)
#pragma unroll
        for (float x : now_[j].of) squares_ += x * x;
    }
    if (weighted()) {
#pragma unroll
      for (int j = 0; j < count; ++j)
#pragma unroll
        for (int i = 0; i < 8; ++i) now_[j].of[i] *= weights_[j].of[i];
    }
    if (!from_.times) return;
#pragma unroll
    for (int j = 0; j < count; ++j) {
      const float* times = from_.times + (word + j * threads) * 8;
      int i = 0;
      Word& now = now_[j];
      read_each(now, [&](int) {
        float x = now.of[0];
        return x * ops::Sigmoid::value(x) * __ldcg(times + i++);
      });
    }
  }
  // Puts the first words of those held into shared memory; all lanes of a warp do it, with
  // neighbouring words.
  template <int count>
  __device__ void store(int word) {
    change<count>(word);
    // Added to this, a number up to 2^22 stands in the last bits, rounded and in two's complement;
    // and 128 more, so that the second byte is what the first leaves when that has its sign.
    constexpr float shift = 12582912 + 128, most = 32512, least = 3e-35f;
    constexpr unsigned of_shift = 0x4b400000 + 128;
    unsigned top[count];
#pragma unroll
    for (int j = 0; j < count; ++j) {
      top[j] = 0;  // infinity or not a number included
#pragma unroll
      for (float x : now_[j].of) top[j] = max(top[j], math::bits::of(x) & 0x7fffffffu);
    }
#pragma unroll
    for (int step = 1; step < lanes; step *= 2)
#pragma unroll
      for (int j = 0; j < count; ++j) top[j] = max(top[j], __shfl_xor_sync(~0u, top[j], step));
    unsigned number[count][8];
    int sum[count];
    float d[count];
#pragma unroll
    for (int j = 0; j < count; ++j) {
      d[j] = math::bits::to(top[j]) * (1 / most);
      const float inverse = d[j] > least ? reciprocal(d[j]) : 0;
      unsigned all = 0;
#pragma unroll
      for (int i = 0; i < 8; ++i) {
        number[j][i] = math::bits::of(now_[j].of[i] * inverse + shift);
        all += number[j][i] - of_shift;
      }
      sum[j] = static_cast<int>(all);
    }
#pragma unroll
    for (int step = 1; step < lanes; step *= 2)
#pragma unroll
      for (int j = 0; j < count; ++j) sum[j] += __shfl_xor_sync(~0u, sum[j], step);
#pragma unroll
    for (int j = 0; j < count; ++j) {
      const int at = word + j * threads;
      put(at, number[j]);
      if (at % lanes == 0) to_.sums[at / lanes] = {d[j], d[j] * static_cast<float>(sum[j])};
    }
  }
  static __device__ float reciprocal(float x) {
    float y;
    asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
  }
  __device__ void put(int word, const unsigned (&of)[8]) const {
    uint2 high, low;
    unsigned evens[2], odds[2];
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      evens[i] = __byte_perm(of[4 * i], of[4 * i + 2], 0x5410);
      odds[i] = __byte_perm(of[4 * i + 1], of[4 * i + 3], 0x5410);
    }
    low.x = __byte_perm(evens[0], evens[1], 0x6420) ^ 0x80808080u;
    low.y = __byte_perm(odds[0], odds[1], 0x6420) ^ 0x80808080u;
    high.x = __byte_perm(evens[0], evens[1], 0x7531);
    high.y = __byte_perm(odds[0], odds[1], 0x7531);
    reinterpret_cast<uint2*>(to_.planes)[word] = high;
    reinterpret_cast<uint2*>(to_.planes + to_.k + 64)[word] = low;
  }

  const Source& from_;
  Digits<group> to_;
  int words_;
  float squares_ = 0;
  Word now_[2] = {}, weights_[2] = {};
};

}  // namespace tarn::cuda::digits
