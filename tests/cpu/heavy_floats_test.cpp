// Weights of small floats: every code under every scale, and products, at every level.
#include <limits>

#include "heavy_cases.h"

namespace tarn::cpu {
namespace {

class FloatsTest : public EveryIsa {};

double e4m3(unsigned code) {
  const unsigned size = code & 127, exponent = size >> 3, fraction = size & 7;
  double value = exponent == 0 ? std::ldexp(fraction, -9)
                               : std::ldexp(8 + fraction, static_cast<int>(exponent) - 10);
  if (size == 127) value = NAN;
  return (code & 128) != 0 ? -value : value;
}
double scale_value(CodeKind kind, uint8_t code) {
  if (kind == CodeKind::nvfp4) return e4m3(code);
  return code == 255 ? INFINITY : std::ldexp(1.0, code - 127);
}
double code_value(CodeKind kind, unsigned code) {
  constexpr double sizes[8] = {0, 0.5, 1, 1.5, 2, 3, 4, 6};
  if (kind == CodeKind::mxfp8) return e4m3(code);
  return (code & 8) != 0 ? -sizes[code & 7] : sizes[code & 7];
}
int bits_of(CodeKind kind) { return kind == CodeKind::mxfp8 ? 8 : 4; }
int group_of(CodeKind kind) { return kind == CodeKind::nvfp4 ? 16 : 32; }
constexpr CodeKind kinds[] = {CodeKind::mxfp4, CodeKind::mxfp8, CodeKind::nvfp4};

// Codes and scales by `code(i)` and `scale(i)`, the matrix, and the numbers it stands for.
struct Floats {
  std::vector<uint8_t> codes{}, scales{};
  std::vector<double> values{};
  QuantMatrix matrix{};
};
template <class Code, class Scale>
Floats floats(CodeKind kind, int64_t rows, int64_t cols, Code code, Scale scale) {
  Floats f;
  const int bits = bits_of(kind), group = group_of(kind);
  f.codes.assign(static_cast<size_t>(rows * cols * bits / 8) + 1, 0);
  for (int64_t g = 0; g < rows * cols / group; ++g) f.scales.push_back(scale(g));
  for (int64_t i = 0; i < rows * cols; ++i) {
    const unsigned c = code(i) & ((1u << bits) - 1);
    f.codes[static_cast<size_t>(i * bits / 8) + 1] |= static_cast<uint8_t>(c << (i * bits % 8));
    f.values.push_back(scale_value(kind, f.scales[static_cast<size_t>(i / group)]) *
                       code_value(kind, c));
  }
  QuantMatrix& m = f.matrix;
  m.codes = f.codes.data() + 1;  // an odd address: files align nothing
  m.scales = f.scales.data();
  m.rows = rows, m.cols = cols, m.bits = bits, m.group = group, m.kind = kind;
  return f;
}

TEST_P(FloatsTest, EveryCodeUnderEveryScale) {
  for (CodeKind kind : kinds) {
    const int64_t groups = 256 / group_of(kind);
    const Floats f = floats(
        kind, 256, 256, [](int64_t i) { return static_cast<unsigned>(i % 256); },
        [&](int64_t g) { return static_cast<uint8_t>(g / groups); });
    std::vector<float> got(256 * 256);
    Dequantize d{.w = f.matrix, .out = got.data(), .out_stride = 256};
    run_workers(kernels().dequantize, d, 3);
    for (size_t i = 0; i < got.size(); ++i) {
      const auto want = static_cast<float>(f.values[i]);
      ASSERT_TRUE(got[i] == want || (std::isnan(got[i]) && std::isnan(want)))
          << i << ": " << got[i] << " instead of " << want;
    }
  }
}

// Columns that end in half of what is unpacked at once, few and many rows, both ways round.
TEST_P(FloatsTest, ProductsAreThoseOfTheNumbers) {
  for (CodeKind kind : kinds)
    for (bool transpose : {true, false})
      for (int64_t m : {1, 8, 9, 33}) {
        std::mt19937 random(5);
        const int64_t rows = 50, cols = kind == CodeKind::nvfp4 ? 336 : 352;
        const Floats f = floats(
            kind, rows, cols, [&](int64_t) { return static_cast<unsigned>(random()) & 0xbfu; },
            [&](int64_t) {
              return static_cast<uint8_t>((kind == CodeKind::nvfp4 ? 40 : 120) + random() % 8);
            });
        const int64_t n = transpose ? rows : cols, k = transpose ? cols : rows;
        const auto x = normal(static_cast<size_t>(m * k), 7);
        std::vector<double> want(static_cast<size_t>(m * n));
        for (int64_t i = 0; i < m; ++i)
          for (int64_t j = 0; j < n; ++j)
            for (int64_t p = 0; p < k; ++p)
              want[static_cast<size_t>(i * n + j)] +=
                  double{x[static_cast<size_t>(i * k + p)]} *
                  f.values[static_cast<size_t>(transpose ? j * k + p : p * n + j)];
        auto product = [&](int workers) {
          std::vector<float> y(want.size(), NAN);
          Qmm q{.x = x.data(), .x_stride = k, .y = y.data(), .y_stride = n, .m = m, .w = f.matrix};
          q.transpose = transpose;
          run_workers(kernels().qmm_exact, kernels().qmm_exact_scratch, q, workers);
          return y;
        };
        EXPECT_LT(relative_error(product(1), want), 1e-6) << "M " << m;
        EXPECT_EQ(product(1), product(3)) << "M " << m;
      }
}

TARN_EVERY_ISA(FloatsTest);

}  // namespace
}  // namespace tarn::cpu
