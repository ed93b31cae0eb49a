// Fourier transforms: accuracy against sums in double, derivatives, and what does not fit.
#include "tarn/fft.h"

#include <gtest/gtest.h>

#include <numbers>
#include <thread>

#include "error_of.h"
#include "laws/compare.h"

namespace tarn {
namespace {

using tarn_test::error_of;

using fft::FFTNorm;
using laws::close;
using laws::numbers;
using laws::values;
using Complex = std::complex<double>;

// Real parts, then imaginary ones, as laws::values gives them.
std::vector<Complex> complex_values(const array& a) {
  auto v = values(astype(a, complex64));
  std::vector<Complex> out;
  for (size_t i = 0; i < v.size() / 2; ++i) out.emplace_back(v[i], v[v.size() / 2 + i]);
  return out;
}
// Numbers k of the transform of x, by its definition.
Complex by_definition(const std::vector<Complex>& x, size_t k) {
  Complex sum = 0;
  size_t n = x.size();
  for (size_t j = 0; j < n; ++j)
    sum += x[j] * std::polar(1.0, -2 * std::numbers::pi * double(j * k % n) / double(n));
  return sum;
}
// The root mean square of the errors of up to 61 results, relative to that of all results.
double error_of_transform(const array& a, const array& transformed) {
  auto x = complex_values(a), got = complex_values(transformed);
  double power = 0, errors = 0, count = 0;
  for (auto v : x) power += std::norm(v);
  for (size_t k = 0; k < got.size(); k += got.size() / 61 + 1, ++count)
    errors += std::norm(got[k] - by_definition(x, k));
  return std::sqrt(errors / count / power);
}

TEST(Fft, EveryLengthIsItsDefinition) {
  for (int n = 1; n <= 150; ++n) {
    array x = numbers({n}, complex64, -1, 1), r = numbers({n}, float32, -1, 1);
    EXPECT_LT(error_of_transform(x, fft::fft(x)), 5e-7) << n;
    EXPECT_LT(error_of_transform(r, fft::rfft(r)), 5e-7) << n;
    EXPECT_LT(error_of_transform(r, fft::fft(r)), 5e-7) << n;
    EXPECT_TRUE(close(fft::ifft(fft::fft(x)), x, 2e-6)) << n;
    EXPECT_TRUE(close(fft::irfft(fft::rfft(r), n, -1), r, 2e-6)) << n;
  }
}

TEST(Fft, LongLinesKeepTheirDigits) {
  for (int n : {1009, 4096, 10007, 30030, 65536, 65537, 131072, 177147, 1 << 20}) {
    array r = random::normal({n}, float32, random::key(2));
    array x = astype(r, complex64) * array(complex64_t{0.6f, -0.8f}) +
              astype(random::normal({n}, float32, random::key(1)), complex64);
    EXPECT_LT(error_of_transform(x, fft::fft(x)), 5e-7) << n;
    EXPECT_LT(error_of_transform(r, fft::rfft(r)), 5e-7) << n;
    EXPECT_TRUE(close(fft::irfft(fft::rfft(r), n, -1), r, 2e-6)) << n;
  }
}

// Many lines, few lines and lines across memory take different ways.
TEST(Fft, LinesDoNotDependOnEachOther) {
  for (int n : {60, 256, 1000, 2048, 8192, 10000})
    for (int lines : {1, 7, 19}) {
      array x = numbers({lines, n}, complex64, -1, 1);
      array rows = fft::fft(x), columns = fft::fft(contiguous(transpose(x)), 0);
      EXPECT_TRUE(close(transpose(columns), rows, 2e-6)) << n << " " << lines;
      array last = slice(x, {lines - 1, 0}, {lines, n});
      EXPECT_TRUE(close(fft::fft(last), slice(rows, {lines - 1, 0}, {lines, n}), 2e-6));
    }
}

TEST(Fft, NormsAreFactors) {
  array x = numbers({3, 10}, complex64, -1, 1);
  auto times = [](const array& a, float f) { return a * array(f); };
  EXPECT_TRUE(close(fft::fft(x, -1, FFTNorm::Forward), times(fft::fft(x), 0.1f), 2e-6));
  EXPECT_TRUE(close(fft::fft(x, -1, FFTNorm::Ortho), times(fft::fft(x), 0.316227766f), 2e-6));
  EXPECT_TRUE(close(fft::ifft(x, -1, FFTNorm::Forward), times(fft::ifft(x), 10), 2e-6));
  EXPECT_TRUE(close(fft::ifftn(fft::fftn(x, FFTNorm::Ortho), FFTNorm::Ortho), x, 2e-6));
}

TEST(Fft, AxesAreTransformedOneByOne) {
  array x = numbers({4, 5, 6}, float32, -1, 1);
  EXPECT_TRUE(close(fft::fftn(x, {0, 2}), fft::fft(fft::fft(x, 0), 2), 4e-6));
  EXPECT_TRUE(close(fft::rfft2(x), fft::fft(fft::rfft(x, 2), 1), 4e-6));
  EXPECT_TRUE(close(fft::irfftn(fft::rfftn(x)), x, 4e-6));
  array cut = slice(x, {0, 0, 0}, {3, 5, 6});
  EXPECT_TRUE(close(fft::irfft2(fft::rfft2(x, {3, 7}, {0, 1}), {3, 7}, {0, 1}),
                    concatenate({cut, zeros({3, 2, 6})}, 1), 4e-6));
}

// float32 cannot tell 1e8 + 1 from 1e8.
TEST(Fft, Float64IsTransformedInDouble) {
  array x = numbers({64}, float64, -1, 1), high = x + array(1e8, float64);
  for (auto f : {UnaryFunction([](const array& a) { return fft::fft(a); }),
                 UnaryFunction([](const array& a) { return fft::rfft(a); })}) {
    array all = f(high), rest = f(x);
    EXPECT_EQ(all.dtype(), complex64);
    EXPECT_TRUE(close(slice(all, {1}, all.shape()), slice(rest, {1}, all.shape()), 1e-6));
  }
}
TEST(Fft, OtherNumbersAreTransformedInFloat32) {
  array x = numbers({8}, float16, -3, 3), whole = numbers({8}, int32, -3, 3);
  EXPECT_TRUE(close(fft::rfft(x), fft::rfft(astype(x, float32)), 0));
  EXPECT_TRUE(close(fft::fft(whole), fft::fft(astype(whole, float32)), 0));
  EXPECT_EQ(fft::irfft(x).dtype(), float32);
}

TEST(Fft, FrequenciesAndShifts) {
  EXPECT_EQ(values(fft::fftfreq(5, 0.5)), (std::vector<double>{0, 0.4f, 0.8f, -0.8f, -0.4f}));
  EXPECT_EQ(values(fft::fftfreq(4)), (std::vector<double>{0, 0.25, -0.5, -0.25}));
  EXPECT_EQ(values(fft::rfftfreq(5)), (std::vector<double>{0, 0.2f, 0.4f}));
  array x = arange(5.0);
  EXPECT_EQ(values(fft::fftshift(x)), (std::vector<double>{3, 4, 0, 1, 2}));
  EXPECT_EQ(values(fft::ifftshift(fft::fftshift(x))), values(x));
  array m = numbers({3, 4}, float32);
  EXPECT_TRUE(close(fft::fftshift(m), roll(roll(m, 1, 0), 2, 1), 0));
  EXPECT_TRUE(close(fft::fftshift(m, {0}), roll(m, 1, 0), 0));
  EXPECT_TRUE(close(fft::ifftshift(m, {-2}), roll(m, -1, 0), 0));
}

// <v, J t> = <J' v, t> in the pairing Re(sum of conj(a) b), in which complex cotangents come back.
double paired(const array& a, const array& b) {
  auto x = complex_values(a), y = complex_values(b);
  Complex sum = 0;
  for (size_t i = 0; i < x.size(); ++i) sum += std::conj(x[i]) * y[i];
  return sum.real();
}
void expect_linear(const UnaryFunction& f, const array& x) {
  array t = numbers(x.shape(), x.dtype(), -1, 1, 3);
  auto [y, pushed] = jvp(f, x, t);
  EXPECT_TRUE(close(pushed, f(t), 4e-6));
  array v = numbers(y.shape(), y.dtype(), -1, 1, 2);
  array pulled = vjp(f, x, v).second;
  EXPECT_EQ(pulled.dtype(), x.dtype());
  EXPECT_EQ(pulled.shape(), x.shape());
  double size = std::sqrt(laws::dot(v, v) * laws::dot(pushed, pushed));
  EXPECT_NEAR(paired(v, pushed), paired(pulled, t), 1e-5 * size);
  // The pull is linear as well, and its transpose is f again.
  auto back = [&](const array& g) { return vjp(f, x, g).second; };
  EXPECT_TRUE(close(vjp(UnaryFunction(back), v, t).second, f(t), 4e-6));
}
TEST(Fft, DerivativesAreTransforms) {
  for (int n : {6, 7, 34}) {
    array c = numbers({3, n}, complex64, -1, 1), r = numbers({3, n}, float32, -1, 1);
    expect_linear([](const array& x) { return fft::fft(x); }, c);
    expect_linear([](const array& x) { return fft::ifft(x, 0, FFTNorm::Ortho); }, c);
    expect_linear([](const array& x) { return fft::fft(x, 5, 1); }, r);
    expect_linear([](const array& x) { return fft::rfft(x); }, r);
    expect_linear([](const array& x) { return fft::rfft(x, 40, 1, FFTNorm::Forward); }, r);
    expect_linear([](const array& x) { return fft::irfft(x); }, c);
    expect_linear([&](const array& x) { return fft::irfft(x, 2 * n - 1, -1); }, c);
    expect_linear([](const array& x) { return fft::irfftn(fft::rfftn(x)); }, r);
    expect_linear([](const array& x) { return fft::rfft(x); }, numbers({3, n}, float64, -1, 1));
  }
}

TEST(Fft, ThreadsShareTheTables) {
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([] {
      for (int n : {1021, 1023, 1024, 1025, 1031}) {
        array x = numbers({n}, complex64, -1, 1);
        EXPECT_TRUE(close(fft::ifft(fft::fft(x)), x, 2e-6));
      }
    });
  for (auto& t : threads) t.join();
}

TEST(Fft, SaysWhatDoesNotFit) {
  array x = zeros({3, 4}), c = zeros({3, 1}, complex64);
  EXPECT_EQ(error_of([&] { fft::fft(x, 2); }), "[fft] axis 2 for an array with 2 axes.");
  EXPECT_EQ(error_of([&] { fft::fftn(x, {0, -2}); }), "[fftn] axes (0, -2) name an axis twice.");
  EXPECT_EQ(error_of([&] { fft::fft2(x, {4}, {0, 1}); }), "[fft2] 1 sizes for 2 axes.");
  EXPECT_EQ(error_of([&] { fft::rfft(x, 0, 1); }),
            "[rfft] axis 1 is transformed with length 0: it must be 1 or more.");
  EXPECT_EQ(error_of([&] { fft::irfft(c); }),
            "[irfft] axis 1 is transformed with length 0: it must be 1 or more.");
  EXPECT_EQ(error_of([&] { fft::rfftn(c); }),
            "[rfftn] a is complex64: only real numbers have half a transform.");
  EXPECT_EQ(error_of([&] { fft::ifftn(array(1.f)); }),
            "[ifftn] a has shape (): no axis to transform.");
  EXPECT_EQ(error_of([&] {
              fft::fftshift(x, {0, 0});
            }),
            "[fftshift] axes (0, 0) name an axis twice.");
  EXPECT_EQ(error_of([&] { fft::fftfreq(0); }), "[fftfreq] n is 0: it must be 1 or more.");
  EXPECT_EQ(error_of([&] { fft::rfftfreq(-1); }), "[rfftfreq] n is -1: it must be 1 or more.");
}

TEST(Stft, ComesBackThroughIstft) {
  array x = numbers({3, 50}, float32, -1, 1), window = hanning(16);
  for (bool center : {true, false})
    for (bool onesided : {true, false})
      for (int hop : {1, 4}) {
        array f = fft::stft(x, 16, hop, {}, window, center, "reflect", FFTNorm::Ortho, onesided);
        EXPECT_EQ(f.shape(-2), onesided ? 9 : 16);
        array y = fft::istft(f, 16, hop, {}, window, center, FFTNorm::Ortho, onesided);
        // The window begins with a zero, so that without padding nothing tells of the first number.
        int64_t from = center ? 0 : 1, to = std::min<int64_t>(y.shape(-1), 50) - from;
        EXPECT_TRUE(close(slice(y, {0, from}, {3, to}), slice(x, {0, from}, {3, to}), 2e-5));
      }
}

TEST(Stft, HasDerivativesAndBatches) {
  array x = numbers({2, 12}, float32, -1, 1);
  auto energy = [](const array& a) { return sum(square(abs(fft::stft(a, 4, 4, {}, {}, false)))); };
  // Frames that do not overlap: of each number's spectrum both halves count, the edges once.
  array slope = grad(energy)(x), h(1e-2f);
  array along = zeros_like(x) + array(1.f);
  array by_steps = (energy(x + h * along) - energy(x - h * along)) / (array(2.f) * h);
  EXPECT_TRUE(close(sum(slope * along), by_steps, 1e-3));
  UnaryFunction round_trip = [](const array& a) { return fft::istft(fft::stft(a, 4)); };
  EXPECT_TRUE(close(vmap(round_trip)(x), round_trip(x), 1e-6));
}

TEST(Stft, SaysWhatDoesNotFit) {
  array x = zeros({2, 10}), f = zeros({5, 3}, complex64);
  EXPECT_EQ(error_of([&] { fft::stft(array(1.f), 4); }),
            "[stft] x is 0-d; there is no axis to cut into frames.");
  EXPECT_EQ(error_of([&] { fft::stft(x, 0); }), "[stft] n_fft is 0: it must be 1 or more.");
  EXPECT_EQ(error_of([&] { fft::stft(x, 3); }), "[stft] hop_length is 0: it must be 1 or more.");
  EXPECT_EQ(error_of([&] { fft::stft(x, 4, 1, 5); }),
            "[stft] the window has 5 numbers; it needs 1 to n_fft, 4.");
  EXPECT_EQ(error_of([&] { fft::stft(x, 4, 1, {}, x); }),
            "[stft] the window has shape (2, 10); it needs one axis.");
  EXPECT_EQ(error_of([&] { fft::stft(x, 4, 1, {}, zeros({4}, complex64)); }),
            "[stft] the window is complex64; it must be real.");
  EXPECT_EQ(error_of([&] { fft::stft(x, 12, {}, {}, {}, false); }),
            "[stft] x has 10 numbers on its last axis; a frame needs 12.");
  EXPECT_EQ(error_of([&] { fft::istft(f, 0); }), "[istft] n_fft is 0: it must be 1 or more.");
  EXPECT_EQ(error_of([&] {
              fft::istft(zeros({5, 0}));
            }),
            "[istft] the matrix has shape (5, 0); it needs frequencies and frames, 1 or more, as "
            "last axes.");
  EXPECT_EQ(error_of([&] { fft::istft(f, {}, {}, {}, {}, true, FFTNorm::Backward, {}, -1); }),
            "[istft] length is -1; it must not be negative.");
}

}  // namespace
}  // namespace tarn
