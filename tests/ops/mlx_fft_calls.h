// Fourier transforms by name, for mlx_driver.
#pragma once

#include "ops/mlx_calls.h"
#include "tarn/fft.h"

namespace tarn::mlx_test {

inline fft::FFTNorm norm_of(const Case& c) {
  auto word = c.word("norm", "backward");
  return word == "ortho"     ? fft::FFTNorm::Ortho
         : word == "forward" ? fft::FFTNorm::Forward
                             : fft::FFTNorm::Backward;
}

inline void add_transforms(Calls& calls) {
#define TARN_ONE(op)                                                                               \
  calls["fft_" #op] = [](const Case& c) {                                                          \
    if (c.has("n")) return Arrays{fft::op(c[0], c.number("n"), c.number("axis", -1), norm_of(c))}; \
    return Arrays{fft::op(c[0], c.number("axis", -1), norm_of(c))};                                \
  };
  TARN_ONE(fft)
  TARN_ONE(ifft)
  TARN_ONE(rfft)
  TARN_ONE(irfft)
#undef TARN_ONE
#define TARN_SOME(op)                                                                       \
  calls["fft_" #op] = [](const Case& c) {                                                   \
    if (c.has("n")) return Arrays{fft::op(c[0], c.shape("n"), c.list("axes"), norm_of(c))}; \
    return Arrays{fft::op(c[0], c.list("axes"), norm_of(c))};                               \
  };
  TARN_SOME(fft2)
  TARN_SOME(ifft2)
  TARN_SOME(rfft2) TARN_SOME(irfft2)
#undef TARN_SOME
#define TARN_ALL(op)                                                                        \
  calls["fft_" #op] = [](const Case& c) {                                                   \
    if (c.has("n")) return Arrays{fft::op(c[0], c.shape("n"), c.list("axes"), norm_of(c))}; \
    if (c.has("axes")) return Arrays{fft::op(c[0], c.list("axes"), norm_of(c))};            \
    return Arrays{fft::op(c[0], norm_of(c))};                                               \
  };
      TARN_ALL(fftn) TARN_ALL(ifftn) TARN_ALL(rfftn) TARN_ALL(irfftn)
#undef TARN_ALL
#define TARN_SHIFT(op)                                                            \
  calls["fft_" #op] = [](const Case& c) {                                         \
    return Arrays{c.has("axes") ? fft::op(c[0], c.list("axes")) : fft::op(c[0])}; \
  };
          TARN_SHIFT(fftshift) TARN_SHIFT(ifftshift)
#undef TARN_SHIFT
              calls["fft_fftfreq"] =
                  [](const Case& c) { return Arrays{fft::fftfreq(c.number("n"), c.real("d", 1))}; };
  auto maybe = [](const Case& c, const char* key) {
    return c.has(key) ? std::optional(c.number(key)) : std::nullopt;
  };
  auto sided = [](const Case& c) {
    return c.has("onesided") ? std::optional(c.flag("onesided")) : std::nullopt;
  };
  calls["fft_stft"] = [=](const Case& c) {
    return Arrays{fft::stft(c[0], c.number("n_fft", 2048), maybe(c, "hop_length"),
                            maybe(c, "win_length"), c.maybe(1), !c.flag("apart"),
                            c.word("pad_mode", "reflect"), norm_of(c), sided(c))};
  };
  calls["fft_istft"] = [=](const Case& c) {
    return Arrays{fft::istft(c[0], maybe(c, "n_fft"), maybe(c, "hop_length"),
                             maybe(c, "win_length"), c.maybe(1), !c.flag("apart"), norm_of(c),
                             sided(c), maybe(c, "length"))};
  };
  calls["fft_rfftfreq"] = [](const Case& c) {
    return Arrays{fft::rfftfreq(c.number("n"), c.real("d", 1))};
  };
}

}  // namespace tarn::mlx_test
