// What the tests of the heavy kernels share: every level, any number of workers, plain references.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <random>
#include <vector>

#include "cpu/heavy.h"
#include "cpu/isa.h"

namespace tarn::cpu {

// Memory aligned to 64 bytes that says when it was written past its end.
class Scratch64 {
 public:
  explicit Scratch64(size_t bytes) : bytes_(bytes), room_(bytes + 128, kGuard) {}
  ~Scratch64() {
    for (size_t i = 0; i < 64; ++i) EXPECT_EQ(data()[bytes_ + i], kGuard) << "written past the end";
  }
  Scratch64(const Scratch64&) = delete;
  Scratch64& operator=(const Scratch64&) = delete;
  unsigned char* data() {
    auto at = reinterpret_cast<uintptr_t>(room_.data());
    return reinterpret_cast<unsigned char*>((at + 63) / 64 * 64);
  }

 private:
  static constexpr unsigned char kGuard = 0xa5;
  size_t bytes_;
  std::vector<unsigned char> room_;
};

// Runs a kernel as `workers` workers would, one after another: none waits for another.
template <class Args>
void run_workers(Heavy::Kernel<Args> kernel, const Args& args, int workers) {
  for (int w = 0; w < workers; ++w) kernel(args, w, workers);
}
template <class Args>
void run_workers(Heavy::Kernel<Args> kernel, Heavy::Scratch<Args> scratch, Args args, int workers) {
  Scratch64 room(scratch(args, workers));
  args.scratch = room.data();
  run_workers(kernel, static_cast<const Args&>(args), workers);
}

inline std::vector<float> normal(size_t n, unsigned seed, float spread = 1.f) {
  std::mt19937 bits(seed);
  std::normal_distribution<float> number(0.f, spread);
  std::vector<float> x(n);
  for (float& v : x) v = number(bits);
  return x;
}

// Numbers in one of the storage types, with a float view of what they really hold.
struct Stored {
  Store type = Store::f32;
  std::vector<uint16_t> halves{};
  std::vector<float> floats{};
  const void* data() const {
    return type == Store::f32 ? static_cast<const void*>(floats.data()) : halves.data();
  }
  void* data() { return const_cast<void*>(static_cast<const Stored&>(*this).data()); }
};

inline float half_value(uint16_t h) {
  const int exponent = (h >> 10) & 31, fraction = h & 1023;
  const float size = exponent == 31 ? (fraction != 0 ? NAN : INFINITY)
                     : exponent == 0
                         ? std::ldexp(static_cast<float>(fraction), -24)
                         : std::ldexp(static_cast<float>(1024 + fraction), exponent - 25);
  return (h & 0x8000) != 0 ? -size : size;
}
inline float bfloat_value(uint16_t h) {
  const uint32_t u = static_cast<uint32_t>(h) << 16;
  float f = 0;
  std::memcpy(&f, &u, 4);
  return f;
}
inline float value_of(Store type, uint16_t h) {
  return type == Store::f16 ? half_value(h) : bfloat_value(h);
}

// The nearest half, by search: slow and sure. Values in the tests are far below 65504.
inline uint16_t half_bits(float x) {
  const uint16_t sign = std::signbit(x) ? 0x8000 : 0;
  uint16_t low = 0, high = 0x7bff;
  while (high - low > 1) {
    const auto middle = static_cast<uint16_t>((low + high) / 2);
    (half_value(middle) <= std::fabs(x) ? low : high) = middle;
  }
  const double below = std::fabs(x) - half_value(low), above = half_value(high) - std::fabs(x);
  const bool up = above < below || (above == below && (low & 1) != 0);
  return static_cast<uint16_t>(sign | (up ? high : low));
}
inline uint16_t bfloat_bits(float x) {
  uint32_t u = 0;
  std::memcpy(&u, &x, 4);
  return static_cast<uint16_t>((u + 0x7fff + ((u >> 16) & 1)) >> 16);
}

inline Stored stored(std::vector<float> x, Store type) {
  Stored s{type};
  if (type != Store::f32)
    for (float& v : x) {
      s.halves.push_back(type == Store::f16 ? half_bits(v) : bfloat_bits(v));
      v = value_of(type, s.halves.back());
    }
  s.floats = std::move(x);
  return s;
}

// What a kernel wrote to `s`, as floats.
inline std::vector<float> read_back(const Stored& s) {
  if (s.type == Store::f32) return s.floats;
  std::vector<float> x;
  for (uint16_t h : s.halves) x.push_back(value_of(s.type, h));
  return x;
}
inline Stored blank(size_t n, Store type) {
  Stored s{type};
  type == Store::f32 ? s.floats.assign(n, NAN) : s.halves.assign(n, 0x7fff);
  return s;
}

// A random quantised matrix and the numbers it stands for.
struct Quantised {
  std::vector<uint8_t> codes{};
  Stored scales{}, biases{};
  std::vector<double> values{};
  QuantMatrix matrix{};
};

inline Quantised quantised(int64_t rows, int64_t cols, int bits, int group, Store type,
                           unsigned seed) {
  std::mt19937 random(seed);
  Quantised q;
  const int64_t groups = rows * cols / group;
  for (int64_t i = 0; i < rows * cols * bits / 8; ++i)
    q.codes.push_back(static_cast<uint8_t>(random()));
  const float step = 2.f / static_cast<float>(1 << bits);
  std::vector<float> scales = normal(static_cast<size_t>(groups), seed + 1, step), biases;
  for (float& s : scales) biases.push_back(-s * static_cast<float>(1 << (bits - 1)));
  q.scales = stored(scales, type);
  q.biases = stored(biases, type);
  for (int64_t i = 0; i < rows * cols; ++i) {
    unsigned code = 0;
    for (int b = 0; b < bits; ++b) {
      const int64_t bit = i * bits + b;
      code |= ((q.codes[static_cast<size_t>(bit / 8)] >> (bit % 8)) & 1u) << b;
    }
    const auto g = static_cast<size_t>(i / group);
    q.values.push_back(double{q.scales.floats[g]} * code + double{q.biases.floats[g]});
  }
  return q;
}

// The codes lie at an odd address: files align nothing.
inline QuantMatrix matrix_of(Quantised& q, int64_t rows, int64_t cols, int bits, int group) {
  q.codes.insert(q.codes.begin(), 0);
  return {q.codes.data() + 1, q.scales.data(), q.biases.data(), rows, cols, bits, group,
          q.scales.type};
}

// sqrt(sum (a - b)^2 / sum b^2)
template <class A, class B>
double relative_error(const A& a, const B& b) {
  double error = 0, size = 1e-300;
  for (size_t i = 0; i < b.size(); ++i) {
    const double d = static_cast<double>(a[i]) - static_cast<double>(b[i]);
    error += d * d;
    size += static_cast<double>(b[i]) * static_cast<double>(b[i]);
  }
  return std::sqrt(error / size);
}

class EveryIsa : public ::testing::TestWithParam<Isa> {
 protected:
  const Heavy& kernels() const { return heavy(GetParam()); }
};

#define TARN_EVERY_ISA(Suite)                                                               \
  INSTANTIATE_TEST_SUITE_P(                                                                 \
      Levels, Suite, ::testing::ValuesIn(available_isas().begin(), available_isas().end()), \
      [](const ::testing::TestParamInfo<Isa>& level) { return name(level.param); })

// Of the numbers of w, in float64.
inline std::vector<double> product(const std::vector<double>& x, const Quantised& w, int64_t m,
                                   int64_t n, int64_t k, bool transpose) {
  std::vector<double> y(static_cast<size_t>(m * n));
  for (int64_t i = 0; i < m; ++i)
    for (int64_t j = 0; j < n; ++j)
      for (int64_t p = 0; p < k; ++p)
        y[static_cast<size_t>(i * n + j)] +=
            x[static_cast<size_t>(i * k + p)] *
            w.values[static_cast<size_t>(transpose ? j * k + p : p * n + j)];
  return y;
}

template <class T>
std::vector<double> in_bfloat(const std::vector<T>& x) {
  std::vector<double> y;
  for (T v : x) y.push_back(double{bfloat_value(bfloat_bits(static_cast<float>(v)))});
  return y;
}

}  // namespace tarn::cpu
