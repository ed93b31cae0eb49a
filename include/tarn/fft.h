// Discrete Fourier transforms of any length, along any axes.
#pragma once

#include <optional>
#include <string>
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

// The short-time transform of x (..., T): (..., frequencies, frames) of frames of n_fft numbers,
// hop_length (n_fft / 4) apart, each times the window, which has one axis and zeros on both sides
// up to n_fft; without one, win_length (n_fft) ones. `center` puts the middle of frame i at number
// i * hop_length, with n_fft / 2 numbers more at both ends, see pad. `onesided` leaves half of the
// frequencies, see rfft; absent, it does for real x. Throws ShapeError when no frame fits.
array stft(const array& x, int n_fft = 2048, const std::optional<int>& hop_length = std::nullopt,
           const std::optional<int>& win_length = std::nullopt,
           const std::optional<array>& window = std::nullopt, bool center = true,
           const std::string& pad_mode = "reflect", FFTNorm norm = FFTNorm::Backward,
           const std::optional<bool>& onesided = std::nullopt, StreamOrDevice s = {});
// Back to float32 (..., T): the frames, each times the window again, are added where they overlap
// and divided by the sum of the squared windows, or 1e-8 where that is more. n_fft, when absent, is
// the even one that fits. `center` drops n_fft / 2 numbers at both ends; `length` sets how many
// follow the first ones dropped instead, with zeros behind the last frame. Griffin, Lim 1984,
// "Signal estimation from modified short-time Fourier transform".
array istft(const array& stft_matrix, const std::optional<int>& n_fft = std::nullopt,
            const std::optional<int>& hop_length = std::nullopt,
            const std::optional<int>& win_length = std::nullopt,
            const std::optional<array>& window = std::nullopt, bool center = true,
            FFTNorm norm = FFTNorm::Backward, const std::optional<bool>& onesided = std::nullopt,
            const std::optional<int>& length = std::nullopt, StreamOrDevice s = {});

}  // namespace tarn::fft
