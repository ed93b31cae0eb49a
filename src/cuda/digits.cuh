// One row of x as 16-bit integers, for products with 4-bit codes on tensor cores.
//
// A group of x is d * (256 * high + low) with digits of eight bits, as the CPU has it in balanced
// precision. Digits lie as the right operand takes them: of eight numbers first those with an even
// place, then the others.
#pragma once

#include "cuda/matmul.h"
#include "cuda/numbers.cuh"
#include "ops/unary.h"

namespace tarn::cuda::digits {

struct alignas(16) Line {
  unsigned of[4];
};

// x in shared memory.
template <int group>
struct Digits {
  static constexpr int zero_bytes = 2 * sizeof(Line);
  ops::u8* planes;  // (2, k): high digits, low ones
  float2* sums;     // (k / group): d, and d times the sum of the integers
  Line* zeros;
  int k;
  __device__ Digits(void* at, int k)
      : planes(static_cast<ops::u8*>(at)),
        sums(reinterpret_cast<float2*>(planes + 2 * k)),
        zeros(reinterpret_cast<Line*>(sums + k / group)),
        k(k) {}
  __device__ void* end() const { return zeros + 2; }
  __device__ const Line* from(int digit, int number) const {
    return reinterpret_cast<const Line*>(planes + digit * k + number);
  }
};
template <int group>
constexpr size_t digits_bytes(int64_t k) {
  return static_cast<size_t>(2 * k + k / group * 8) + Digits<group>::zero_bytes;
}

// Brings x there: gated, or times a norm's weight, where that is asked for. Blocks of at most 256
// threads. The factor of a norm counts in the products' results, so that nothing waits for it here.
template <int group>
class Packer {
 public:
  __device__ Packer(const QuantizedCall& c, const Neighbours& beside, const Digits<group>& to)
      : numbers_(static_cast<const float*>(c.x)),
        beside_(beside),
        to_(to),
        words_(static_cast<int>(c.k / 8)),
        threads_(static_cast<int>(blockDim.x)) {}

  // Before the queue's turn: what the norm multiplies with is brought to the second cache.
  __device__ void prefetch() const {
    constexpr int line = 128;
    if (!beside_.normed || !beside_.weight) return;
    const int bytes = words_ * 8 * (beside_.weight_type == float_column ? 4 : 2);
    for (int at = line * static_cast<int>(threadIdx.x); at < bytes; at += line * threads_)
      asm volatile("prefetch.global.L2 [%0];" ::"l"(static_cast<const char*>(beside_.weight) + at));
  }
  // Asks for the first of x.
  __device__ void begin() {
    load(0);
    read_weight(threadIdx.x);
  }
  // Every thread of the block sees x afterwards.
  __device__ void pack() {
    float squares = 0;
#pragma unroll 1
    for (int base = 0; base < words_; base += at_once()) {
      if (base > 0) load(base);
#pragma unroll 1
      for (int j = 0; j < held && base + j * threads_ < words_; ++j) {
        const int word = base + j * threads_ + static_cast<int>(threadIdx.x);
#pragma unroll
        for (float x : x_[0]) squares += x * x;
        change(word);
        read_weight(word + threads_);
        store(word);
        shift();
      }
    }
    if (beside_.normed) share(squares);
    if (threadIdx.x < Digits<group>::zero_bytes / 4)
      reinterpret_cast<unsigned*>(to_.zeros)[threadIdx.x] = 0;
    __syncthreads();
  }
  // What results are to be multiplied with, once x is packed.
  __device__ float factor() const {
    if (!beside_.normed) return 1;
    float squares = 0;
    for (int w = 0; w < threads_ / 32; ++w) squares += of_warps()[w];
    return 1.f / math::sqrt(squares / static_cast<float>(8 * words_) + beside_.eps);
  }

 private:
  static constexpr int held = 4;  // words of eight numbers that a thread holds
  static constexpr int lanes = group / 8;
  __device__ int at_once() const { return held * threads_; }
  static __device__ float* of_warps() {
    __shared__ float squares[8];
    return squares;
  }
  __device__ void share(float squares) const {
#pragma unroll
    for (int step = 16; step > 0; step /= 2) squares += __shfl_xor_sync(~0u, squares, step);
    if (threadIdx.x % 32 == 0) of_warps()[threadIdx.x / 32] = squares;
  }

  __device__ void load(int base) {
#pragma unroll
    for (int j = 0; j < held; ++j) {
      int word = base + j * threads_ + static_cast<int>(threadIdx.x);
      read(word, numbers_, x_[j]);
    }
  }
  __device__ void read_weight(int word) {
    if (!beside_.normed || !beside_.weight) return;
    if (beside_.weight_type == float_column)
      return read(word, static_cast<const float*>(beside_.weight), weight_);
    const auto* from = static_cast<const ops::u16*>(beside_.weight) + word * 8;
    const bool half = beside_.weight_type == half_column;
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      ops::u16 bits = word < words_ ? from[i] : 0;
      weight_[i] = half ? ops::widened(ops::Half{bits}) : ops::widened(ops::Bfloat{bits});
    }
  }
  // The next word is the first.
  __device__ void shift() {
#pragma unroll
    for (int j = 0; j + 1 < held; ++j)
#pragma unroll
      for (int i = 0; i < 8; ++i) x_[j][i] = x_[j + 1][i];
  }
  // Past the end: zeros.
  __device__ void read(int word, const float* from, float (&x)[8]) const {
    if (word >= words_) {
#pragma unroll
      for (float& number : x) number = 0;
    } else if (reinterpret_cast<unsigned long>(from) % 16 == 0) {
      const auto* lines = reinterpret_cast<const float4*>(from + word * 8);
      float4 a = __ldcg(lines), b = __ldcg(lines + 1);
      x[0] = a.x, x[1] = a.y, x[2] = a.z, x[3] = a.w;
      x[4] = b.x, x[5] = b.y, x[6] = b.z, x[7] = b.w;
    } else {
#pragma unroll
      for (int i = 0; i < 8; ++i) x[i] = __ldcg(from + word * 8 + i);
    }
  }
  // The first word of what is held.
  __device__ void change(int word) {
    float(&x)[8] = x_[0];
    if (beside_.times && word < words_)
#pragma unroll 1
      for (int i = 0; i < 8; ++i) turn_round(x, gated(x[0], beside_.times[word * 8 + i]));
    if (!beside_.normed || !beside_.weight) return;
#pragma unroll
    for (int i = 0; i < 8; ++i) x[i] *= weight_[i];
  }
  static __device__ float gated(float x, float times) { return x * ops::Sigmoid::value(x) * times; }
  // Puts what the first has become behind the others.
  static __device__ void turn_round(float (&x)[8], float first) {
#pragma unroll
    for (int i = 0; i < 7; ++i) x[i] = x[i + 1];
    x[7] = first;
  }
  // The largest of a group, infinity or not a number included.
  static __device__ float largest(const float (&x)[8]) {
    unsigned top = 0;
#pragma unroll
    for (float number : x) top = max(top, math::bits::of(number) & 0x7fffffffu);
#pragma unroll
    for (int step = 1; step < lanes; step *= 2) top = max(top, __shfl_xor_sync(~0u, top, step));
    return math::bits::to(top);
  }
  // The first word of what is held; all lanes of a warp do it, with neighbouring words.
  __device__ void store(int word) const {
    // Added to this, a number up to 2^22 stands in the last bits, rounded and in two's complement.
    constexpr float shift = 12582912, most = 32512, least = 1e-30f;
    constexpr unsigned of_shift = 0x4b400000;
    const float(&x)[8] = x_[0];
    float top = largest(x), inverse = top > least ? most / top : 0, d = top / most;
    unsigned number[8], all = 0;
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      number[i] = math::bits::of(x[i] * inverse + shift);
      all += number[i] - of_shift;
    }
    int sum = static_cast<int>(all);
#pragma unroll
    for (int step = 1; step < lanes; step *= 2) sum += __shfl_xor_sync(~0u, sum, step);
    if (word >= words_) return;
    put(1, word, number, 0);
    // What is left to the high digit when the low one has its sign.
#pragma unroll
    for (unsigned& n : number) n += 128;
    put(0, word, number, 1);
    if (word % lanes == 0) to_.sums[word / lanes] = {d, d * static_cast<float>(sum)};
  }
  // Byte `which` of eight numbers.
  __device__ void put(int digit, int word, const unsigned (&of)[8], int which) const {
    const unsigned pair = which == 0 ? 0x0040 : 0x0051;
    auto four = [&](int first) {
      return __byte_perm(__byte_perm(of[first], of[first + 2], pair),
                         __byte_perm(of[first + 4], of[first + 6], pair), 0x5410);
    };
    reinterpret_cast<uint2*>(to_.planes + digit * to_.k)[word] = {four(0), four(1)};
  }

  const float* numbers_;
  const Neighbours& beside_;
  Digits<group> to_;
  int words_, threads_;
  float x_[held][8] = {}, weight_[8] = {};
};

}  // namespace tarn::cuda::digits
