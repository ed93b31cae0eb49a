// Short-time Fourier transforms: frames of a signal, and the signal of frames.
#include "ops/kinds.h"
#include "tarn/fft.h"

namespace tarn::fft {

using namespace ops;

namespace {

// How a signal is cut, checked.
struct Frames {
  const char* op = "";
  int64_t size = 0, hop = 0;
  array window{};  // (size,)
};

// The window in the middle of `size` zeros.
array window_of(const char* op, int64_t size, const std::optional<int>& win_length,
                const std::optional<array>& window, Dtype t, StreamOrDevice s) {
  int64_t n = win_length.value_or(static_cast<int>(size));
  if (window) {
    require(window->dtype() != complex64, "[{}] the window is complex64; it must be real.", op);
    require<ShapeError>(window->ndim() == 1, "[{}] the window has shape {}; it needs one axis.", op,
                        text_of(window->shape()));
    n = window->shape(0);
  }
  require(n >= 1 && n <= size, "[{}] the window has {} numbers; it needs 1 to n_fft, {}.", op, n,
          size);
  array w = window ? astype(*window, t, s) : ones(Shape{n}, t, s);
  int64_t before = (size - n) / 2;
  return pad(w, {0}, {before}, {size - n - before}, array(0, t), "constant", s);
}
Frames frames_of(const char* op, int64_t size, const std::optional<int>& hop_length,
                 const std::optional<int>& win_length, const std::optional<array>& window, Dtype t,
                 StreamOrDevice s) {
  require(size >= 1, "[{}] n_fft is {}: it must be 1 or more.", op, size);
  int64_t hop = hop_length ? int64_t{*hop_length} : size / 4;
  require(hop >= 1, "[{}] hop_length is {}: it must be 1 or more.", op, hop);
  return {op, size, hop, window_of(op, size, win_length, window, t, s)};
}

// Which number of the signal each number of each frame is: (count * size,), int64.
array places(const Frames& f, int64_t count, StreamOrDevice s) {
  array begin = multiply(arange(0.0, double(count), int64, s), array(f.hop, int64), s);
  array inside = arange(0.0, double(f.size), int64, s);
  return flatten(add(expand_dims(begin, 1, s), inside, s), s);
}
// (..., count * size), added where frames overlap: (..., T).
array overlapped(const Frames& f, const array& frames, int64_t count, StreamOrDevice s) {
  Shape shape = frames.shape();
  shape.back() = f.size + (count - 1) * f.hop;
  array where_to = broadcast_to(places(f, count, s), frames.shape(), s);
  return scatter_add_axis(zeros(shape, frames.dtype(), s), where_to, frames, -1, s);
}

// Numbers [from, to) of the last axis, with zeros behind its end.
array cut(const array& x, int64_t from, int64_t to, StreamOrDevice s) {
  Shape start(x.ndim(), 0), stop = x.shape();
  start.back() = std::min(from, x.shape(-1));
  stop.back() = std::clamp(to, start.back(), x.shape(-1));
  int64_t missing = to - from - (stop.back() - start.back());
  array y = slice(x, start, stop, s);
  return missing > 0 ? pad(y, {-1}, {0}, {missing}, array(0, x.dtype()), "constant", s) : y;
}

}  // namespace

array stft(const array& x, int n_fft, const std::optional<int>& hop_length,
           const std::optional<int>& win_length, const std::optional<array>& window, bool center,
           const std::string& pad_mode, FFTNorm norm, const std::optional<bool>& onesided,
           StreamOrDevice s) {
  require<ShapeError>(x.ndim() >= 1, "[stft] x is 0-d; there is no axis to cut into frames.");
  Dtype t = x.dtype() == float64 ? float64 : float32;
  Frames f = frames_of("stft", n_fft, hop_length, win_length, window, t, s);
  array signal = x.dtype() == complex64 ? x : astype(x, t, s);
  int64_t half = f.size / 2;
  if (center) signal = pad(signal, {-1}, {half}, {half}, array(0, signal.dtype()), pad_mode, s);
  int64_t n = signal.shape(-1);
  require<ShapeError>(n >= f.size, "[stft] x has {} numbers on its last axis; a frame needs {}.", n,
                      f.size);
  int64_t count = (n - f.size) / f.hop + 1;
  array frames = unflatten(take(signal, places(f, count, s), -1, s), -1, {count, f.size}, s);
  frames = multiply(frames, f.window, s);
  bool half_only = onesided.value_or(x.dtype() != complex64);
  return swapaxes(half_only ? rfft(frames, -1, norm, s) : fft(frames, -1, norm, s), -1, -2, s);
}

array istft(const array& stft_matrix, const std::optional<int>& n_fft,
            const std::optional<int>& hop_length, const std::optional<int>& win_length,
            const std::optional<array>& window, bool center, FFTNorm norm,
            const std::optional<bool>& onesided, const std::optional<int>& length,
            StreamOrDevice s) {
  require<ShapeError>(
      stft_matrix.ndim() >= 2 && stft_matrix.shape(-1) >= 1,
      "[istft] the matrix has shape {}; it needs frequencies and frames, 1 or more, "
      "as last axes.",
      text_of(stft_matrix.shape()));
  require(!length || *length >= 0, "[istft] length is {}; it must not be negative.",
          length.value_or(0));
  bool half_only = onesided.value_or(true);
  int64_t rows = stft_matrix.shape(-2), count = stft_matrix.shape(-1);
  int64_t size = n_fft ? int64_t{*n_fft} : half_only ? 2 * (rows - 1) : rows;
  Frames f = frames_of("istft", size, hop_length, win_length, window, float32, s);
  array turned = swapaxes(astype(stft_matrix, complex64, s), -1, -2, s);
  int n = static_cast<int>(size);
  array frames = half_only ? irfft(turned, n, -1, norm, s) : real(ifft(turned, n, -1, norm, s), s);
  frames = flatten(multiply(frames, f.window, s), -2, -1, s);
  array weights = flatten(broadcast_to(square(f.window, s), Shape{count, f.size}, s), s);
  array weight = maximum(overlapped(f, weights, count, s), array(1e-8f), s);
  array signal = divide(overlapped(f, frames, count, s), weight, s);
  int64_t half = center ? size / 2 : 0;
  return cut(signal, half, length ? half + *length : std::max(half, signal.shape(-1) - half), s);
}

}  // namespace tarn::fft
