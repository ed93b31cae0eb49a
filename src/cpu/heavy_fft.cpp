// Fourier transforms of lines, in one of three ways:
//
// Short lines: 64 bytes of them side by side, each a lane of Stockham's passes.
// Long lines: four steps (D. H. Bailey, "FFTs in external or hierarchical memory", 1990). A line of
// n = r c numbers is a matrix: its columns are transformed as lanes, turned by e^(-2 pi i j k / n),
// written transposed, and transformed again.
// Lengths with other primes: a convolution with a chirp (L. I. Bluestein, 1970), in double, by four
// steps of a length that has small factors.
//
// A real line of even length is read as half as many complex numbers. An inverse transform is the
// forward one with real and imaginary parts exchanged.

#include "cpu/heavy_fft_rows.h"
#include "cpu/heavy_fft_steps.h"
#include "cpu/heavy_levels.h"

namespace tarn::cpu::TARN_LEVEL {
namespace {

// Whether lines are transformed side by side. Depends on shapes only.
template <class T>
bool side_by_side(const FftLines<T>& f) {
  const FftPlan<T>& p = *f.plan;
  if (p.whole.n == 0 || p.chirp) return false;
  const bool many = f.outer * f.inner >= kLines<T> / 2 || p.n < 64;
  return f.inner > 1 || (p.n <= 1024 && many);
}

// Scratch of one worker, in numbers.
template <class T>
struct Room {
  int64_t buffer = 0, middle = 0, chirp = 0, halves = 0;  // each one plane
  explicit Room(const FftLines<T>& f) {
    const FftPlan<T>& p = *f.plan;
    const bool lanes = side_by_side(f);
    const int64_t longest = lanes ? p.n : larger(p.columns.n, p.rows.n);
    buffer = longest * kLines<T>;
    if (!lanes) middle = (round_up(p.rows.n, kLines<T>) + 1) * round_up(p.columns.n, kLines<T>);
    if (p.chirp) chirp = round_up(p.inside, kLines<T>);
    if (p.halves) halves = round_up(p.n, kLines<T>) * (lanes ? kLines<T> : 1);
  }
  int64_t total() const { return 4 * buffer + 2 * (middle + chirp + halves); }
};

// One line, by four steps.
template <class T, class Read, class Write>
void four_steps(const FftPlan<T>& p, const Work<T>& work, const Read& read, const Write& write) {
  const int64_t n1 = p.columns.n, n2 = p.rows.n;
  for (int64_t c = 0; c < n2; c += kLines<T>) {
    const int64_t count = smaller(kLines<T>, n2 - c);
    for (int64_t j = 0; j < n1; ++j)
      read_row(read, j * n2 + c, count, work.buffers[0].re + j * kLines<T>,
               work.buffers[0].im + j * kLines<T>);
    const Band<T> done = run_passes(p.columns, {work.buffers[0], kLines<T>}, work.buffers);
    turn_and_transpose(p, c, done, work.middle);
  }
  for (int64_t c = 0; c < n1; c += kLines<T>) {
    const int64_t count = smaller(kLines<T>, n1 - c);
    const Planes<T> from{work.middle.re + c, work.middle.im + c};
    const Band<T> done = run_passes(p.rows, {from, n1}, work.buffers);
    for (int64_t k = 0; k < n2; ++k)
      write_row(write, k * n1 + c, count, done.at.re + k * done.step, done.at.im + k * done.step);
  }
}

// One line of a length with large primes.
template <class T, class Read, class Write>
void chirped(const FftPlan<T>& p, const Work<T>& work, const Read& read, const Write& write) {
  const T *cr = p.chirp, *ci = p.chirp + p.n, *kr = p.kernel, *ki = p.kernel + p.inside;
  const Planes<T> u = work.chirp;
  for (int64_t j = 0; j < p.n; ++j) {
    const T re = read.re(j), im = read.im(j);
    u.re[j] = re * cr[j] - im * ci[j], u.im[j] = re * ci[j] + im * cr[j];
  }
  for (int64_t j = p.n; j < p.inside; ++j) u.re[j] = u.im[j] = 0;
  four_steps(p, work, ReadPlanes<T>{u, 1}, WritePlanes<T>{u, 1});
  for (int64_t k = 0; k < p.inside; ++k) {
    const T re = u.re[k], im = u.im[k];
    u.re[k] = re * kr[k] - im * ki[k], u.im[k] = re * ki[k] + im * kr[k];
  }
  const Planes<T> back{u.im, u.re};
  four_steps(p, work, ReadPlanes<T>{back, 1}, WritePlanes<T>{back, 1});
  for (int64_t k = 0; k < p.n; ++k) {
    const T re = u.re[k] * cr[k] - u.im[k] * ci[k], im = u.re[k] * ci[k] + u.im[k] * cr[k];
    write.put(k, re, im);
  }
}

// `count` lines side by side, or one by itself. read(l) and write(l) say where line l lies.
template <class T, class Read, class Write>
void transform(const FftLines<T>& f, const Work<T>& work, int64_t count, Read read, Write write) {
  const FftPlan<T>& p = *f.plan;
  if (!work.lanes)
    return p.chirp ? chirped(p, work, read(0), write(0)) : four_steps(p, work, read(0), write(0));
  read_lanes(p.n, count, read, work.buffers[0]);
  const Band<T> done = run_passes(p.whole, {work.buffers[0], kLines<T>}, work.buffers);
  write_lanes(p.n, count, done.at, write);
}

template <class T, class S>
void real_lines(const FftLines<T>& f, const Work<T>& work, int64_t first, int64_t count) {
  const FftPlan<T>& p = *f.plan;
  const int swap = f.inverse;
  const auto scale = static_cast<T>(f.scale);
  const int64_t kept = f.form == FftForm::forward ? f.n / 2 + 1 : f.n;
  auto from = [&](int64_t l) { return static_cast<const S*>(f.in) + start_of(f, first + l, f.n); };
  auto to = [&](int64_t l) {
    return static_cast<float*>(f.out) + 2 * start_of(f, first + l, kept);
  };
  if (!p.halves) {
    transform(
        f, work, count,
        [&](int64_t l) {
          return ReadReal<T, S>{from(l), f.inner, swap};
        },
        [&](int64_t l) {
          return WriteComplex<T>{to(l), f.inner, swap, kept, scale};
        });
    return;
  }
  const int64_t step = work.lanes ? kLines<T> : 1;
  auto half = [&](int64_t l) { return Planes<T>{work.halves.re + l, work.halves.im + l}; };
  transform(
      f, work, count,
      [&](int64_t l) {
        return ReadPairs<T, S>{from(l), f.inner};
      },
      [&](int64_t l) {
        return WritePlanes<T>{half(l), step};
      });
  for (int64_t l = 0; l < count; ++l)
    if (f.form == FftForm::forward)
      unpack_pairs(p, half(l), step, WriteComplex<T>{to(l), f.inner, 0, kept, scale});
    else
      unpack_pairs(p, half(l), step,
                   WriteMirrored<T>{to(l), f.inner, f.n, scale, f.inverse ? T(-1) : T(1)});
}

template <class T>
void lines_back(const FftLines<T>& f, const Work<T>& work, int64_t first, int64_t count) {
  const FftPlan<T>& p = *f.plan;
  const auto scale = static_cast<T>(f.scale);
  auto from = [&](int64_t l) {
    return static_cast<const float*>(f.in) + 2 * start_of(f, first + l, f.n / 2 + 1);
  };
  auto to = [&](int64_t l) { return static_cast<float*>(f.out) + start_of(f, first + l, f.n); };
  if (!p.halves) {
    transform(
        f, work, count,
        [&](int64_t l) {
          return ReadMirrored<T>{from(l), f.inner, f.n};
        },
        [&](int64_t l) {
          return WriteReal<T>{to(l), f.inner, scale};
        });
    return;
  }
  const int64_t step = work.lanes ? kLines<T> : 1;
  auto half = [&](int64_t l) { return Planes<T>{work.halves.re + l, work.halves.im + l}; };
  for (int64_t l = 0; l < count; ++l)
    pack_pairs(p, ReadComplex<T>{from(l), f.inner, 0}, half(l), step);
  transform(
      f, work, count,
      [&](int64_t l) {
        return ReadPlanes<T>{{half(l).im, half(l).re}, step};
      },
      [&](int64_t l) {
        return WritePairs<T>{to(l), f.inner, scale};
      });
}

template <class T>
void complex_lines(const FftLines<T>& f, const Work<T>& work, int64_t first, int64_t count) {
  const int swap = f.inverse;
  const auto scale = static_cast<T>(f.scale);
  auto at = [&](int64_t l) { return 2 * start_of(f, first + l, f.n); };
  const auto* in = static_cast<const float*>(f.in);
  auto* out = static_cast<float*>(f.out);
  transform(
      f, work, count,
      [&](int64_t l) {
        return ReadComplex<T>{in + at(l), f.inner, swap};
      },
      [&](int64_t l) {
        return WriteComplex<T>{out + at(l), f.inner, swap, f.n, scale};
      });
}

template <class T>
void run(const FftLines<T>& f, int worker, int workers) {
  const Room<T> room(f);
  const Work<T> work =
      carve(static_cast<T*>(f.scratch) + worker * room.total(), room, side_by_side(f));
  const int64_t together = work.lanes ? kLines<T> : 1;
  const Range mine = share(f.outer * f.inner, together, worker, workers);
  for (int64_t l = mine.begin; l < mine.end; l += together) {
    const int64_t count = smaller(together, mine.end - l);
    if (f.form == FftForm::complex)
      complex_lines(f, work, l, count);
    else if (f.form == FftForm::backward)
      lines_back(f, work, l, count);
    else if (f.wide_input)
      real_lines<T, double>(f, work, l, count);
    else
      real_lines<T, float>(f, work, l, count);
  }
}

}  // namespace

void fft(const FftLines<float>& f, int worker, int workers) { run(f, worker, workers); }
void fft64(const FftLines<double>& f, int worker, int workers) { run(f, worker, workers); }
size_t fft_scratch(const FftLines<float>& f, int workers) {
  return static_cast<size_t>(Room<float>(f).total() * workers) * sizeof(float);
}
size_t fft64_scratch(const FftLines<double>& f, int workers) {
  return static_cast<size_t>(Room<double>(f).total() * workers) * sizeof(double);
}

// The kernel of a plan in the making: one line of `inside` numbers, in place.
void fft_planes(const FftPlan<double>& p, double* re, double* im, void* scratch) {
  FftLines<double> f;
  f.plan = &p;
  const Room<double> room(f);
  const Work<double> work = carve(static_cast<double*>(scratch), room, false);
  const Planes<double> at{re, im};
  four_steps(p, work, ReadPlanes<double>{at, 1}, WritePlanes<double>{at, 1});
}

}  // namespace tarn::cpu::TARN_LEVEL
