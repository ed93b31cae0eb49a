// Softmax, norms, rope and attention: steps turned into calls of the heavy kernels.
#include <cmath>
#include <cstring>
#include <vector>

#include "cpu/heavy.h"
#include "cpu/move.h"
#include "cpu/reduce.h"
#include "cpu/share.h"
#include "ops/compound.h"

namespace tarn::cpu {
namespace {

bool is_store(Dtype t) { return t == float32 || t == float16 || t == bfloat16; }

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

// Cosines and sines of the pairs of one position.
struct Angles {
  std::vector<float> cosines{}, sines{};

  void find(const ops::Rope::P& p, int64_t position, const float* freqs) {
    auto half = static_cast<size_t>(p.dims / 2);
    cosines.resize(half), sines.resize(half);
    for (size_t i = 0; i < half; ++i) {
      double rate = freqs ? 1.0 / double{freqs[i]}
                          : std::exp(-2.0 * double(i) / p.dims * std::log(double{p.base}));
      double angle = double(position) * double{p.scale} * rate;
      cosines[i] = static_cast<float>(std::cos(angle));
      sines[i] = static_cast<float>(std::sin(angle));
    }
  }
};

// The angles of a token are asked for by every layer, twice: 2 us of sines each time in double, 8 %
// of a prompt's time. A thread keeps those of the positions it met, up to kMost after the first.
class KeptAngles {
 public:
  const Angles& of(const ops::Rope::P& p, int64_t position, const float* freqs) {
    size_t count = freqs ? static_cast<size_t>(p.dims / 2) : 0;
    bool same = dims_ == p.dims && base_ == p.base && scale_ == p.scale && freqs_.size() == count &&
                std::equal(freqs_.begin(), freqs_.end(), freqs);
    if (!same || position < first_ || position >= first_ + kMost) {
      dims_ = p.dims, base_ = p.base, scale_ = p.scale, first_ = position;
      freqs_.assign(freqs, freqs + count);
      angles_.clear();
    }
    auto at = static_cast<size_t>(position - first_);
    if (at >= angles_.size()) angles_.resize(at + 1);
    if (angles_[at].cosines.empty()) angles_[at].find(p, position, freqs);
    return angles_[at];
  }

 private:
  static constexpr int64_t kMost = 4096;
  int dims_ = 0;
  float base_ = 0, scale_ = 0;
  int64_t first_ = 0;
  std::vector<float> freqs_{};
  std::vector<Angles> angles_{};
};

const Angles& angles_of(const ops::Rope::P& p, int64_t position, const float* freqs) {
  thread_local KeptAngles kept;
  return kept.of(p, position, freqs);
}

void rotate_row(const float* in, float* out, int64_t width, const ops::Rope::P& p,
                const Angles& angles) {
  int64_t half = p.dims / 2, pair = p.traditional ? 1 : half, step = p.traditional ? 2 : 1;
  for (int64_t i = 0; i < half; ++i) {
    float a = in[i * step], b = in[i * step + pair];
    float c = angles.cosines[static_cast<size_t>(i)], s = angles.sines[static_cast<size_t>(i)];
    out[i * step] = a * c - b * s;
    out[i * step + pair] = a * s + b * c;
  }
  std::memcpy(out + p.dims, in + p.dims, static_cast<size_t>(width - p.dims) * sizeof(float));
}

// Rotates pairs of each row. A worker takes whole positions, and of a single one, heads.
void run_rope(const Step& s, int worker, int workers) {
  const auto& p = s.params->as<ops::Rope::P>();
  const Operand& x = s.in[0];
  size_t rank = x.shape.size();
  int64_t width = x.shape[rank - 1], length = x.shape[rank - 2];
  int64_t outer = x.size() / std::max<int64_t>(width * length, 1);
  Shape lead(x.shape.begin(), x.shape.end() - 2);
  Odometer heads(lead, x.strides);
  const float* freqs = s.in.size() > 1 ? s.in[1].as<const float>() : nullptr;
  Share positions = length == 1 ? Share{0, 1} : share(length, worker, workers);
  Share part = length == 1 ? share(outer, worker, workers) : Share{0, outer};
  for (int64_t t = positions.from; t < positions.to; ++t) {
    const Angles& angles = angles_of(p, p.offset + t, freqs);
    heads.seek(part.from);
    for (int64_t h = part.from; h < part.to; ++h, heads.next())
      rotate_row(x.as<const float>() + heads.offset() + t * x.strides[rank - 2],
                 s.out.as<float>() + (h * length + t) * width, width, p, angles);
  }
}
bool takes_rope(const Step& s) {
  return s.in[0].dtype == float32 && (s.in.size() < 2 || s.in[1].dtype == float32) &&
         s.in[0].size() > 0;
}
double rope_cost(const Step& s) { return 1.0 * static_cast<double>(s.in[0].size()); }

HeadStrides strides_of(const Operand& o) { return {o.strides[0], o.strides[1], o.strides[2]}; }
Attention attention_of(const Step& s) {
  const auto& p = s.params->as<ops::Attention::P>();
  Attention a;
  const Operand &q = s.in[0], &k = s.in[1], &v = s.in[2];
  a.batch = q.shape[0], a.q_heads = q.shape[1], a.kv_heads = k.shape[1];
  a.queries = q.shape[2], a.key_dim = q.shape[3], a.value_dim = v.shape[3];
  a.length = p.length > 0 ? p.length : k.shape[2];
  a.q = q.data, a.q_at = strides_of(q), a.type = store_of(q.dtype);
  a.k = k.data, a.k_at = strides_of(k);
  a.v = v.data, a.v_at = strides_of(v);
  a.kv_type = store_of(k.dtype);
  a.out = s.out.data, a.out_at = strides_of(s.out);
  a.scale = p.scale, a.causal = p.causal;
  if (p.has_mask) {
    const Operand& m = s.in[3];
    size_t n = m.shape.size();
    auto stride = [&](size_t from_end) {
      return n >= from_end && m.shape[n - from_end] != 1 ? m.strides[n - from_end] : int64_t{0};
    };
    a.mask_kind = m.dtype == bool_ ? MaskKind::boolean : MaskKind::additive;
    a.mask = m.data;
    a.mask_at = {stride(4), stride(3), stride(2)};
    a.mask_key = stride(1);
  }
  if (p.has_sinks) a.sinks = s.in.back().as<const float>();
  a.scratch = s.scratch;
  return a;
}
void run_attention(const Step& s, int worker, int workers) {
  heavy().attention(attention_of(s), worker, workers);
}
// The scratch is for the whole capacity, so that a plan lasts while the length grows.
size_t attention_scratch(const Step& s, int workers) {
  Attention a = attention_of(s);
  a.length = s.in[1].shape[2];
  size_t most = 0;
  for (int w = 1; w <= workers; ++w) most = std::max(most, heavy().attention_scratch(a, w));
  return most;
}
bool takes_attention(const Step& s) {
  const auto& p = s.params->as<ops::Attention::P>();
  bool mask = !p.has_mask || s.in[3].dtype == float32 || s.in[3].dtype == bool_;
  bool sinks = !p.has_sinks || s.in.back().dtype == float32;
  return is_store(s.in[0].dtype) && p.softcap == 0 && p.window == 0 && is_store(s.in[1].dtype) &&
         s.in[1].dtype == s.in[2].dtype && mask && sinks && s.out.size() > 0 && s.in[1].size() > 0;
}
double attention_cost(const Step& s) {
  return 0.1 * static_cast<double>(s.in[0].size()) * static_cast<double>(s.in[1].shape[2]);
}

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
                      .fits = takes_rope,
                      .accepts = Accepts::rows,
                      .cost = rope_cost,
                      .name = "positions"});
  t.add(op_of<ops::Attention>, {.run = run_attention,
                                .fits = takes_attention,
                                .accepts = Accepts::rows,
                                .scratch = attention_scratch,
                                .cost = attention_cost,
                                .name = "online softmax"});
}

}  // namespace tarn::cpu
