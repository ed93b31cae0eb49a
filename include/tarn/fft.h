// Discrete Fourier transforms of any length, along any axes.
#pragma once

#include <vector>

#include "tarn/array.h"

// The forward transform is X[k] = sum over j of x[j] e^(-2 pi i j k / n). Results are complex64, or
// float32 of irfft. float64 input is transformed in double and then rounded to complex64, since
// there is no complex128; other numbers are transformed in float32, except lengths with a prime
// factor above 13, which are transformed in double too.
//
// `n` cuts an axis or fills it up with zeros. Axes may be negative; none given means all. Throws
// ShapeError for a bad axis, one given twice or a length below 1.
namespace tarn::fft {

// Where the factor stands: 1 / n in the inverse, 1 / sqrt(n) in both, 1 / n in the forward one.
enum class FFTNorm { Backward = 0, Ortho, Forward };

array fftn(const array& a, const Shape& n, const std::vector<int>& axes,
           FFTNorm norm = FFTNorm::Backward, StreamOrDevice s = {});
array fftn(const array& a, const std::vector<int>& axes, FFTNorm norm = FFTNorm::Backward,
           StreamOrDevice s = {});
array fftn(const array& a, FFTNorm norm = FFTNorm::Backward, StreamOrDevice s = {});
array ifftn(const array& a, const Shape& n, const std::vector<int>& axes,
            FFTNorm norm = FFTNorm::Backward, StreamOrDevice s = {});
array ifftn(const array& a, const std::vector<int>& axes, FFTNorm norm = FFTNorm::Backward,
            StreamOrDevice s = {});
array ifftn(const array& a, FFTNorm norm = FFTNorm::Backward, StreamOrDevice s = {});

array fft(const array& a, int n, int axis, FFTNorm norm = FFTNorm::Backward, StreamOrDevice s = {});
array fft(const array& a, int axis = -1, FFTNorm norm = FFTNorm::Backward, StreamOrDevice s = {});
array ifft(const array& a, int n, int axis, FFTNorm norm = FFTNorm::Backward,
           StreamOrDevice s = {});
array ifft(const array& a, int axis = -1, FFTNorm norm = FFTNorm::Backward, StreamOrDevice s = {});

array fft2(const array& a, const Shape& n, const std::vector<int>& axes,
           FFTNorm norm = FFTNorm::Backward, StreamOrDevice s = {});
array fft2(const array& a, const std::vector<int>& axes = {-2, -1},
           FFTNorm norm = FFTNorm::Backward, StreamOrDevice s = {});
array ifft2(const array& a, const Shape& n, const std::vector<int>& axes,
            FFTNorm norm = FFTNorm::Backward, StreamOrDevice s = {});
array ifft2(const array& a, const std::vector<int>& axes = {-2, -1},
            FFTNorm norm = FFTNorm::Backward, StreamOrDevice s = {});

// Of real numbers: the last of the axes keeps n / 2 + 1 numbers, the rest being their conjugates.
array rfftn(const array& a, const Shape& n, const std::vector<int>& axes,
            FFTNorm norm = FFTNorm::Backward, StreamOrDevice s = {});
array rfftn(const array& a, const std::vector<int>& axes, FFTNorm norm = FFTNorm::Backward,
            StreamOrDevice s = {});
array rfftn(const array& a, FFTNorm norm = FFTNorm::Backward, StreamOrDevice s = {});
// Back to real numbers. `n` counts these; without it the last axis of m numbers becomes 2 (m - 1).
array irfftn(const array& a, const Shape& n, const std::vector<int>& axes,
             FFTNorm norm = FFTNorm::Backward, StreamOrDevice s = {});
array irfftn(const array& a, const std::vector<int>& axes, FFTNorm norm = FFTNorm::Backward,
             StreamOrDevice s = {});
array irfftn(const array& a, FFTNorm norm = FFTNorm::Backward, StreamOrDevice s = {});

array rfft(const array& a, int n, int axis, FFTNorm norm = FFTNorm::Backward,
           StreamOrDevice s = {});
array rfft(const array& a, int axis = -1, FFTNorm norm = FFTNorm::Backward, StreamOrDevice s = {});
array irfft(const array& a, int n, int axis, FFTNorm norm = FFTNorm::Backward,
            StreamOrDevice s = {});
array irfft(const array& a, int axis = -1, FFTNorm norm = FFTNorm::Backward, StreamOrDevice s = {});

array rfft2(const array& a, const Shape& n, const std::vector<int>& axes,
            FFTNorm norm = FFTNorm::Backward, StreamOrDevice s = {});
array rfft2(const array& a, const std::vector<int>& axes = {-2, -1},
            FFTNorm norm = FFTNorm::Backward, StreamOrDevice s = {});
array irfft2(const array& a, const Shape& n, const std::vector<int>& axes,
             FFTNorm norm = FFTNorm::Backward, StreamOrDevice s = {});
array irfft2(const array& a, const std::vector<int>& axes = {-2, -1},
             FFTNorm norm = FFTNorm::Backward, StreamOrDevice s = {});

// The frequencies of a transform's n numbers, d apart: 0, 1, ..., -2, -1 over n d, as float32.
array fftfreq(int n, double d = 1.0, StreamOrDevice s = {});
// Of rfft's n / 2 + 1 numbers.
array rfftfreq(int n, double d = 1.0, StreamOrDevice s = {});
// Moves frequency 0 to the middle of each axis, and back.
array fftshift(const array& a, StreamOrDevice s = {});
array fftshift(const array& a, const std::vector<int>& axes, StreamOrDevice s = {});
array ifftshift(const array& a, StreamOrDevice s = {});
array ifftshift(const array& a, const std::vector<int>& axes, StreamOrDevice s = {});

}  // namespace tarn::fft
