// Softmax, norms and rope: steps turned into calls of the heavy kernels.
#include <cmath>
#include <cstring>
#include <vector>

#include "cpu/heavy.h"
#include "cpu/move.h"
#include "cpu/reduce.h"
#include "cpu/share.h"
#include "ops/ragged.h"

namespace tarn::cpu {
namespace {

Rows rows_of(const Step& s) {
  Rows r;
  r.cols = s.in[0].shape.empty() ? 1 : s.in[0].shape.back();
  r.rows = r.cols == 0 ? 0 : s.in[0].size() / r.cols;
  r.x = s.in[0].data, r.x_stride = r.cols;
  r.y = s.out.data, r.y_stride = r.cols;
  r.type = store_of(s.in[0].dtype);
  return r;
}
bool takes_rows(const Step& s) {
  for (const auto& in : s.in)
    if (!is_store(in.dtype)) return false;
  return s.in[0].size() > 0;
}
double row_cost(const Step& s) { return 0.6 * static_cast<double>(s.in[0].size()); }

void run_softmax(const Step& s, int worker, int workers) {
  heavy().softmax(rows_of(s), worker, workers);
}
void run_logsumexp(const Step& s, int worker, int workers) {
  Rows r = rows_of(s);
  r.y_stride = 1;
  heavy().logsumexp(r, worker, workers);
}
void run_rms_norm(const Step& s, int worker, int workers) {
  Rows r = rows_of(s);
  r.eps = s.params->as<ops::RmsNorm::P>().eps;
  if (s.in.size() > 1) r.weight = s.in[1].data, r.weight_type = store_of(s.in[1].dtype);
  heavy().rms_norm(r, worker, workers);
}
void run_layer_norm(const Step& s, int worker, int workers) {
  const auto& p = s.params->as<ops::LayerNorm::P>();
  Rows r = rows_of(s);
  r.eps = p.eps;
  if (p.has_weight) r.weight = s.in[1].data;
  if (p.has_bias) r.bias = s.in[p.has_weight ? 2 : 1].data;
  if (s.in.size() > 1) r.weight_type = store_of(s.in[1].dtype);
  heavy().layer_norm(r, worker, workers);
}
bool takes_layer_norm(const Step& s) {
  return takes_rows(s) && (s.in.size() < 3 || s.in[1].dtype == s.in[2].dtype);
}

// How the pairs of a row's first numbers are turned.
struct Turn {
  int dims = 0;
  bool traditional = false;
  float base = 0, scale = 1;
  const float* freqs = nullptr;  // in the place of base
};
template <class P>
Turn turn_of(const P& p, const Step& s, size_t freqs) {
  return {p.dims, p.traditional, p.base, p.scale,
          s.in.size() > freqs ? s.in[freqs].as<const float>() : nullptr};
}

// Cosines and sines of the pairs of one position.
struct Angles {
  int64_t position = 0;
  std::vector<float> cosines{}, sines{};

  void find(const Turn& turn, int64_t at) {
    auto half = static_cast<size_t>(turn.dims / 2);
    position = at;
    cosines.resize(half), sines.resize(half);
    for (size_t i = 0; i < half; ++i) {
      double rate = turn.freqs
                        ? 1.0 / double{turn.freqs[i]}
                        : std::exp(-2.0 * double(i) / turn.dims * std::log(double{turn.base}));
      double angle = double(at) * double{turn.scale} * rate;
      cosines[i] = static_cast<float>(std::cos(angle));
      sines[i] = static_cast<float>(std::sin(angle));
    }
  }
};

// The angles of a token are asked for by every layer, twice: 2 us of sines each time in double, 8 %
// of a prompt's time. A thread keeps those of the positions it met, one of those that are kMost
// apart.
class KeptAngles {
 public:
  const Angles& of(const Turn& turn, int64_t position) {
    size_t count = turn.freqs ? static_cast<size_t>(turn.dims / 2) : 0;
    bool same = dims_ == turn.dims && base_ == turn.base && scale_ == turn.scale &&
                freqs_.size() == count && std::equal(freqs_.begin(), freqs_.end(), turn.freqs);
    if (!same) {
      dims_ = turn.dims, base_ = turn.base, scale_ = turn.scale;
      freqs_.assign(turn.freqs, turn.freqs + count);
      angles_.clear();
    }
    size_t at = static_cast<uint64_t>(position) % kMost;
    if (at >= angles_.size()) angles_.resize(at + 1);
    Angles& kept = angles_[at];
    if (kept.cosines.empty() || kept.position != position) kept.find(turn, position);
    return kept;
  }

 private:
  static constexpr size_t kMost = 4096;
  int dims_ = 0;
  float base_ = 0, scale_ = 0;
  std::vector<float> freqs_{};
  std::vector<Angles> angles_{};
};

const Angles& angles_of(const Turn& turn, int64_t position) {
  thread_local KeptAngles kept;
  return kept.of(turn, position);
}

void rotate_row(const float* in, float* out, int64_t width, const Turn& turn,
                const Angles& angles) {
  int64_t half = turn.dims / 2, pair = turn.traditional ? 1 : half;
  int64_t step = turn.traditional ? 2 : 1;
  for (int64_t i = 0; i < half; ++i) {
    float a = in[i * step], b = in[i * step + pair];
    float c = angles.cosines[static_cast<size_t>(i)], s = angles.sines[static_cast<size_t>(i)];
    out[i * step] = a * c - b * s;
    out[i * step + pair] = a * s + b * c;
  }
  std::memcpy(out + turn.dims, in + turn.dims,
              static_cast<size_t>(width - turn.dims) * sizeof(float));
}

// Rotates pairs of each row. A worker takes whole positions, and of a single one, heads.
void run_rope(const Step& s, int worker, int workers) {
  const auto& p = s.params->as<ops::Rope::P>();
  const Turn turn = turn_of(p, s, 1);
  const Operand& x = s.in[0];
  size_t rank = x.shape.size();
  int64_t width = x.shape[rank - 1], length = x.shape[rank - 2];
  int64_t outer = x.size() / std::max<int64_t>(width * length, 1);
  Shape lead(x.shape.begin(), x.shape.end() - 2);
  Odometer heads(lead, x.strides);
  Share positions = length == 1 ? Share{0, 1} : share(length, worker, workers);
  Share part = length == 1 ? share(outer, worker, workers) : Share{0, outer};
  for (int64_t t = positions.from; t < positions.to; ++t) {
    const Angles& angles = angles_of(turn, p.offset + t);
    heads.seek(part.from);
    for (int64_t h = part.from; h < part.to; ++h, heads.next())
      rotate_row(x.as<const float>() + heads.offset() + t * x.strides[rank - 2],
                 s.out.as<float>() + (h * length + t) * width, width, turn, angles);
  }
}
// A worker takes whole (row, head, position)s: of one position a row, as rows decode, whose angles
// are kept.
void run_rope_rows(const Step& s, int worker, int workers) {
  const Turn turn = turn_of(s.params->as<ops::RopeRows::P>(), s, 2);
  const Operand& x = s.in[0];
  size_t rank = x.shape.size();
  int64_t width = x.shape[rank - 1], length = x.shape[rank - 2];
  int64_t all = x.size() / std::max<int64_t>(width, 1);
  int64_t of_row = all / std::max<int64_t>(x.shape[0], 1);
  Shape lead(x.shape.begin(), x.shape.end() - 1);
  Odometer at(lead, x.strides);
  Share part = share(all, worker, workers);
  at.seek(part.from);
  for (int64_t i = part.from; i < part.to; ++i, at.next()) {
    auto offset = static_cast<uint64_t>(s.in[1].as<const int64_t>()[i / of_row]);
    auto position = static_cast<int64_t>(offset + static_cast<uint64_t>(i % length));
    rotate_row(x.as<const float>() + at.offset(), s.out.as<float>() + i * width, width, turn,
               angles_of(turn, position));
  }
}
template <size_t freqs>
bool takes_rope(const Step& s) {
  return s.in[0].dtype == float32 && (s.in.size() <= freqs || s.in[freqs].dtype == float32) &&
         s.in[0].size() > 0;
}
double rope_cost(const Step& s) { return 1.0 * static_cast<double>(s.in[0].size()); }

}  // namespace

void add_rows(KernelTable& t) {
  using namespace ops;
  auto rows = [](KernelFn run) {
    return Kernel{.run = run, .fits = takes_rows, .cost = row_cost, .name = "rows"};
  };
  t.add(op_of<Softmax>, rows(run_softmax));
  t.add(op_of<LogSumExp>, rows(run_logsumexp));
  t.add(op_of<RmsNorm>, rows(run_rms_norm));
  Kernel norm = rows(run_layer_norm);
  norm.fits = takes_layer_norm;
  t.add(op_of<LayerNorm>, norm);
  t.add(op_of<Rope>, {.run = run_rope,
                      .fits = takes_rope<1>,
                      .accepts = Accepts::rows,
                      .cost = rope_cost,
                      .name = "positions"});
  t.add(op_of<RopeRows>, {.run = run_rope_rows,
                          .fits = takes_rope<2>,
                          .accepts = Accepts::rows,
                          .cost = rope_cost,
                          .name = "positions"});
}

}  // namespace tarn::cpu
