// Convolutions in which every channel is a group of its own: taps meet channel by channel.
#include "cpu/conv_geometry.h"
#include "cpu/heavy.h"
#include "cpu/share.h"

namespace tarn::cpu {
namespace {

bool takes_depthwise(const Step& s) {
  Geometry g = geometry_of(s);
  return g.channels == 1 && g.outputs == 1 && g.groups > 1 && g.taps() <= kMostTaps;
}
template <class T>
void turn_weight(const Geometry& g, const T* w, T* out) {
  for (int64_t c = 0; c < g.groups; ++c)
    for (int64_t t = 0; t < g.taps(); ++t) out[t * g.groups + c] = *w++;
}
// The taps of one row that lie inside the input, and their weights.
template <class T>
void find_taps(const Geometry& g, const T* x, const T* w, const Row& r, Taps<T>& taps) {
  taps.count = 0;
  for (int64_t a = 0, t = 0; a < g.kernel[0]; ++a)
    for (int64_t b = 0; b < g.kernel[1]; ++b)
      for (int64_t c = 0; c < g.kernel[2]; ++c, ++t) {
        int64_t i = place(g, 0, r.at[0], a), j = place(g, 1, r.at[1], b);
        int64_t k = place(g, 2, r.at[2], c);
        if (i < 0 || j < 0 || k < 0) continue;
        taps.x[taps.count] = pixel_at(g, x, r.image, i, j, k);
        taps.w[taps.count++] = w + t * g.groups;
      }
}
void multiply(const Taps<float>& t) { heavy().multiply_taps(t); }
void multiply(const Taps<double>& t) { heavy().multiply_taps64(t); }

template <class T>
size_t turned_bytes(const Step& s) {
  return aligned(static_cast<size_t>(s.in[1].size()) * sizeof(T));
}
template <class T>
void run_depthwise(const Step& s, int worker, int workers) {
  Geometry g = geometry_of(s);
  Share mine = share(g.rows(), worker, workers);
  if (mine.from == mine.to) return;
  auto* w = reinterpret_cast<T*>(static_cast<std::byte*>(s.scratch) +
                                 static_cast<size_t>(worker) * turned_bytes<T>(s));
  turn_weight(g, s.in[1].as<const T>(), w);
  Taps<T> taps;
  taps.n = g.groups;
  for (int64_t i = mine.from; i < mine.to; ++i) {
    find_taps(g, s.in[0].as<const T>(), w, row_of(g, i), taps);
    taps.y = s.out.as<T>() + i * g.groups;
    multiply(taps);
  }
}
template <class T>
size_t depthwise_scratch(const Step& s, int workers) {
  return turned_bytes<T>(s) * static_cast<size_t>(workers);
}

}  // namespace

void add_depthwise_convolutions(KernelTable& t) {
  const Op& op = ops::op_of<ops::Convolution>;
  t.add(op, {.run = run_depthwise<float>,
             .fits = [](const Step& s) { return s.out.dtype == float32 && takes_depthwise(s); },
             .scratch = depthwise_scratch<float>,
             .cost = conv_cost,
             .name = "taps"});
  t.add(op, {.run = run_depthwise<double>,
             .fits = [](const Step& s) { return s.out.dtype == float64 && takes_depthwise(s); },
             .scratch = depthwise_scratch<double>,
             .cost = conv_cost,
             .name = "taps float64"});
}

}  // namespace tarn::cpu
