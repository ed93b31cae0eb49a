// Fourier transforms: steps turned into calls of the heavy kernels.
#include "cpu/fft.h"

#include "cpu/fft_plan.h"
#include "cpu/heavy.h"
#include "cpu/move.h"
#include "ops/fft.h"

namespace tarn::cpu {
namespace {

// What to transform, but for the plan.
template <class T>
FftLines<T> lines_of(const Step& s) {
  FftLines<T> f;
  int axis = 0;
  if (s.op == &ops::op_of<ops::Fft>) {
    const auto& p = s.params->as<ops::Fft::P>();
    axis = p.axis, f.inverse = p.inverse, f.scale = p.scale;
    f.form = s.in[0].dtype == complex64 ? FftForm::complex : FftForm::real;
    f.n = s.out.shape[static_cast<size_t>(axis)];
  } else if (s.op == &ops::op_of<ops::Rfft>) {
    const auto& p = s.params->as<ops::Rfft::P>();
    axis = p.axis, f.scale = p.scale, f.form = FftForm::forward;
    f.n = s.in[0].shape[static_cast<size_t>(axis)];
  } else {
    const auto& p = s.params->as<ops::Irfft::P>();
    axis = p.axis, f.scale = p.scale, f.form = FftForm::backward;
    f.n = p.n;
  }
  f.wide_input = s.in[0].dtype == float64;
  for (int i = 0; i < static_cast<int>(s.out.shape.size()); ++i)
    if (i != axis) (i < axis ? f.outer : f.inner) *= s.out.shape[static_cast<size_t>(i)];
  f.in = s.in[0].data, f.out = s.out.data, f.scratch = s.scratch;
  return f;
}
// Real lines of even length are read as half as many complex numbers.
template <class T>
bool halves(const FftLines<T>& f) {
  return f.form != FftForm::complex && f.n % 2 == 0;
}
template <class T>
int64_t length_of(const FftLines<T>& f) {
  return halves(f) ? f.n / 2 : f.n;
}

// In double: float64 input, and lengths with large primes, whose convolution costs digits.
bool in_double(const Step& s) {
  return s.in[0].dtype == float64 || !has_small_factors(length_of(lines_of<double>(s)));
}

void call(const FftLines<float>& f, int worker, int workers) { heavy().fft(f, worker, workers); }
void call(const FftLines<double>& f, int worker, int workers) { heavy().fft64(f, worker, workers); }
size_t room(const FftLines<float>& f, int workers) { return heavy().fft_scratch(f, workers); }
size_t room(const FftLines<double>& f, int workers) { return heavy().fft64_scratch(f, workers); }

template <class T>
void run(const Step& s, int worker, int workers) {
  auto f = lines_of<T>(s);
  auto plan = fft_plan<T>(length_of(f), halves(f));
  f.plan = plan.get();
  call(f, worker, workers);
}
template <class T>
size_t scratch(const Step& s, int workers) {
  auto f = lines_of<T>(s);
  auto plan = fft_plan<T>(length_of(f), halves(f));
  f.plan = plan.get();
  return room(f, workers);
}
double cost(const Step& s) {
  auto f = lines_of<double>(s);
  double log = 1;
  for (int64_t n = f.n; n > 1; n /= 2) ++log;
  return 0.2 * log * static_cast<double>(f.n * f.outer * f.inner) * (in_double(s) ? 5 : 1);
}

}  // namespace

void add_transforms(KernelTable& t) {
  for (const Op* op : {&ops::op_of<ops::Fft>, &ops::op_of<ops::Rfft>, &ops::op_of<ops::Irfft>}) {
    t.add(*op, {.run = run<double>,
                .fits = in_double,
                .scratch = scratch<double>,
                .cost = cost,
                .name = "lines in double"});
    t.add(*op, {.run = run<float>, .scratch = scratch<float>, .cost = cost, .name = "lines"});
  }
}

}  // namespace tarn::cpu
