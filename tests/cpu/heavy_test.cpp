#include "heavy_cases.h"

namespace tarn::cpu {
namespace {

using Doubles = std::vector<double>;

// --- attention ---------------------------------------------------------------------------------

class AttentionTest : public EveryIsa {};

struct Heads {
  int64_t batch = 1, q_heads = 1, kv_heads = 1, queries = 1, length = 1, dim = 64, value_dim = 64;
  bool causal = false, sinks = false;
  MaskKind mask = MaskKind::none;
};

// Everything that an attention needs, kept alive together. Masks repeat over heads.
struct Input {
  std::vector<float> sinks{}, additive{};
  Stored q{}, k{}, v{};
  std::vector<uint8_t> boolean{};
  Attention a{};
};

Input input_of(const Heads& h, Store type, Store q_type = Store::f32) {
  Input in;
  const int64_t capacity = h.length + 5;
  const auto count = [](int64_t n) { return static_cast<size_t>(n); };
  in.q = stored(normal(count(h.batch * h.q_heads * h.queries * h.dim), 1), q_type);
  in.k = stored(normal(count(h.batch * h.kv_heads * capacity * h.dim), 2), type);
  in.v = stored(normal(count(h.batch * h.kv_heads * capacity * h.value_dim), 3), type);
  in.sinks = normal(count(h.q_heads), 4);
  in.additive = normal(count(h.batch * h.queries * h.length), 5);
  for (float x : in.additive) in.boolean.push_back(x > 0);
  // Query 0 of batch 0 sees nothing under the boolean mask.
  std::fill(in.boolean.begin(), in.boolean.begin() + h.length, uint8_t{0});
  in.a = {.batch = h.batch,
          .q_heads = h.q_heads,
          .kv_heads = h.kv_heads,
          .queries = h.queries,
          .length = h.length,
          .key_dim = h.dim,
          .value_dim = h.value_dim};
  in.a.q_at = {h.q_heads * h.queries * h.dim, h.queries * h.dim, h.dim};
  in.a.k_at = {h.kv_heads * capacity * h.dim, capacity * h.dim, h.dim};
  in.a.v_at = {h.kv_heads * capacity * h.value_dim, capacity * h.value_dim, h.value_dim};
  // out is (batch, query, head, dim): other strides than q's.
  in.a.out_at = {h.queries * h.q_heads * h.value_dim, h.value_dim, h.q_heads * h.value_dim};
  in.a.kv_type = type;
  in.a.type = q_type;
  in.a.scale = 0.2f;
  in.a.causal = h.causal;
  in.a.mask_kind = h.mask;
  in.a.mask_at = {h.queries * h.length, 0, h.length};
  return in;
}

double score_of(const Input& in, int64_t b, int64_t h, int64_t i, int64_t j) {
  const Attention& a = in.a;
  const int64_t group = a.q_heads / a.kv_heads;
  const auto mask = static_cast<size_t>(b * a.mask_at.batch + i * a.mask_at.row + j);
  constexpr double kLowest = -3.4028234663852886e38;
  if (a.causal && j > i + a.length - a.queries) return kLowest;
  if (a.mask_kind == MaskKind::boolean && in.boolean[mask] == 0) return kLowest;
  double dot = 0;
  for (int64_t d = 0; d < a.key_dim; ++d)
    dot += double{in.q.floats[static_cast<size_t>(b * a.q_at.batch + h * a.q_at.head +
                                                  i * a.q_at.row + d)]} *
           double{in.k.floats[static_cast<size_t>(b * a.k_at.batch + h / group * a.k_at.head +
                                                  j * a.k_at.row + d)]};
  return dot * double{a.scale} +
         (a.mask_kind == MaskKind::additive ? double{in.additive[mask]} : 0);
}

Doubles attention_of(const Input& in, bool sinks) {
  const Attention& a = in.a;
  Doubles out(static_cast<size_t>(a.batch * a.out_at.batch));
  for (int64_t b = 0; b < a.batch; ++b)
    for (int64_t h = 0; h < a.q_heads; ++h)
      for (int64_t i = 0; i < a.queries; ++i) {
        Doubles w;
        for (int64_t j = 0; j < a.length; ++j) w.push_back(score_of(in, b, h, i, j));
        const double sink = sinks ? double{in.sinks[static_cast<size_t>(h)]} : -HUGE_VAL;
        const double top = std::max(sink, *std::max_element(w.begin(), w.end()));
        double total = std::exp(sink - top);
        for (double& s : w) total += s = std::exp(s - top);
        for (int64_t d = 0; d < a.value_dim; ++d) {
          double sum = 0;
          for (int64_t j = 0; j < a.length; ++j)
            sum += w[static_cast<size_t>(j)] / total *
                   double{in.v.floats[static_cast<size_t>(
                       b * a.v_at.batch + h / (a.q_heads / a.kv_heads) * a.v_at.head +
                       j * a.v_at.row + d)]};
          out[static_cast<size_t>(b * a.out_at.batch + h * a.out_at.head + i * a.out_at.row + d)] =
              sum;
        }
      }
  return out;
}

std::vector<float> attend(const Heavy& kernels, Input& in, bool sinks, int workers) {
  Attention& a = in.a;
  Stored out = blank(static_cast<size_t>(a.batch * a.out_at.batch), a.type);
  a.q = in.q.data(), a.k = in.k.data(), a.v = in.v.data(), a.out = out.data();
  a.sinks = sinks ? in.sinks.data() : nullptr;
  a.mask = a.mask_kind == MaskKind::boolean ? static_cast<const void*>(in.boolean.data())
                                            : in.additive.data();
  run_workers(kernels.attention, kernels.attention_scratch, a, workers);
  return read_back(out);
}

TEST_P(AttentionTest, IsTheSoftmaxOfMaskedScores) {
  const std::vector<Heads> shapes = {{1, 9, 3, 1, 300, 64, 64},   {2, 4, 2, 3, 77, 80, 48},
                                     {1, 2, 1, 7, 5, 20, 20},     {1, 6, 2, 50, 50, 64, 64},
                                     {2, 3, 3, 130, 140, 24, 40}, {1, 1, 1, 20, 9, 64, 64},
                                     {1, 4, 1, 1, 1, 64, 64},     {1, 2, 2, 3, 2, 8, 8}};
  for (Heads h : shapes)
    for (Store type : {Store::f32, Store::f16, Store::bf16})
      for (bool causal : {false, true})
        for (MaskKind mask : {MaskKind::none, MaskKind::additive, MaskKind::boolean})
          for (bool sinks : {false, true}) {
            h.causal = causal, h.mask = mask;
            SCOPED_TRACE(::testing::Message()
                         << "heads " << h.q_heads << "/" << h.kv_heads << " L " << h.queries
                         << " S " << h.length << " causal " << causal << " mask "
                         << static_cast<int>(mask) << " sinks " << sinks);
            Input in = input_of(h, type);
            const auto out = attend(kernels(), in, sinks, 1);
            ASSERT_LT(relative_error(out, attention_of(in, sinks)), 2e-6);
            EXPECT_EQ(out, attend(kernels(), in, sinks, 2));
            EXPECT_EQ(out, attend(kernels(), in, sinks, 3));
          }
}

// Queries and results in halves: only the rounding of the result is lost, and of the weights where
// bfloat16 meets bfloat16 in tiles.
TEST_P(AttentionTest, HalvesAreRoundedAtTheEnd) {
  const std::vector<Heads> shapes = {{2, 4, 2, 3, 77, 80, 48},    {1, 6, 2, 50, 50, 64, 64},
                                     {1, 3, 3, 130, 140, 24, 40}, {1, 1, 1, 20, 9, 64, 64},
                                     {1, 3, 1, 150, 300, 64, 64}, {1, 12, 1, 40, 260, 128, 96},
                                     {1, 2, 2, 17, 17, 33, 7}};
  const Store types[][2] = {
      {Store::bf16, Store::bf16}, {Store::f16, Store::f16}, {Store::bf16, Store::f16}};
  for (Heads h : shapes)
    for (const auto& [type, kv_type] : types)
      for (bool causal : {false, true}) {
        h.causal = causal;
        const bool sinks = causal == (h.kv_heads == 1);
        SCOPED_TRACE(::testing::Message()
                     << "heads " << h.q_heads << "/" << h.kv_heads << " L " << h.queries << " S "
                     << h.length << " dims " << h.dim << " " << h.value_dim << " causal " << causal
                     << " types " << static_cast<int>(type) << " " << static_cast<int>(kv_type));
        Input in = input_of(h, kv_type, type);
        const auto out = attend(kernels(), in, sinks, 1);
        const bool tiles = type == Store::bf16 && kv_type == Store::bf16;
        ASSERT_LT(relative_error(out, attention_of(in, sinks)), type == Store::f16 ? 3e-4
                                                                : tiles            ? 2.6e-3
                                                                                   : 2e-3);
        EXPECT_EQ(out, attend(kernels(), in, sinks, 2));
        EXPECT_EQ(out, attend(kernels(), in, sinks, 3));
      }
  Input in = input_of({.queries = 40, .length = 50, .causal = true}, Store::bf16, Store::bf16);
  in.q.halves[7 * 64 + 3] = 0x7fc0;  // NaN in query 7
  const auto out = attend(kernels(), in, false, 1);
  for (size_t i = 0; i < out.size(); ++i) EXPECT_EQ(std::isnan(out[i]), i / 64 == 7) << i;
}

TEST_P(AttentionTest, NothingToSeeAndBadNumbers) {
  Input in = input_of({.q_heads = 2, .queries = 2, .length = 0}, Store::f32);
  for (float v : attend(kernels(), in, false, 1)) EXPECT_EQ(v, 0.f);
  in = input_of({.queries = 1, .length = 200, .mask = MaskKind::additive}, Store::f32);
  std::fill(in.additive.begin(), in.additive.begin() + 150, -INFINITY);
  EXPECT_LT(relative_error(attend(kernels(), in, false, 1), attention_of(in, false)), 2e-6);
  std::fill(in.additive.begin(), in.additive.end(), -INFINITY);
  for (float v : attend(kernels(), in, false, 1)) EXPECT_TRUE(std::isnan(v));
  in.a.mask_kind = MaskKind::none;
  in.q.floats[3] = NAN;
  for (float v : attend(kernels(), in, false, 1)) EXPECT_TRUE(std::isnan(v));
}

TARN_EVERY_ISA(AttentionTest);

// --- rows --------------------------------------------------------------------------------------

class RowsTest : public EveryIsa {};

constexpr int64_t kRowCount = 3;
const int64_t kRowLengths[] = {1, 3, 16, 37, 130, 4099};

// Runs a row kernel on every type and length and compares with `reference` of each row.
void every_row(Heavy::Kernel<Rows> kernel, Rows rows, bool one_number,
               const std::function<Doubles(const std::vector<float>&)>& reference) {
  for (Store type : {Store::f32, Store::f16, Store::bf16})
    for (int64_t n : kRowLengths) {
      SCOPED_TRACE(::testing::Message() << "columns " << n << " type " << static_cast<int>(type));
      const Stored x = stored(normal(static_cast<size_t>(kRowCount * n), 1, 3.f), type);
      Doubles want;
      for (int64_t i = 0; i < kRowCount; ++i)
        for (double v : reference({x.floats.begin() + i * n, x.floats.begin() + (i + 1) * n}))
          want.push_back(v);
      Stored y = blank(want.size(), type);
      rows.x = x.data(), rows.y = y.data();
      rows.x_stride = n, rows.y_stride = one_number ? 1 : n;
      rows.rows = kRowCount, rows.cols = n, rows.type = type;
      run_workers(kernel, rows, 1);
      const auto first = read_back(y);
      const double tolerance = type == Store::f32 ? 1e-6 : type == Store::f16 ? 6e-4 : 5e-3;
      ASSERT_LT(relative_error(first, want), tolerance);
      run_workers(kernel, rows, 2);
      EXPECT_EQ(read_back(y), first);
    }
}

Doubles softmax_of(const std::vector<float>& x) {
  const double top = double{*std::max_element(x.begin(), x.end())};
  Doubles y;
  double total = 0;
  for (float v : x) total += y.emplace_back(std::exp(double{v} - top));
  for (double& v : y) v /= total;
  return y;
}

TEST_P(RowsTest, Softmax) { every_row(kernels().softmax, {}, false, softmax_of); }

TEST_P(RowsTest, LogSumExp) {
  every_row(kernels().logsumexp, {}, true, [](const std::vector<float>& x) {
    double total = 0;
    for (float v : x) total += std::exp(double{v});
    return Doubles{std::log(total)};
  });
}

TEST_P(RowsTest, Norms) {
  for (bool weighted : {false, true})
    for (Store weight_type : {Store::f32, Store::f16, Store::bf16}) {
      const Stored w = stored(normal(4099, 8), weight_type),
                   b = stored(normal(4099, 9), weight_type);
      Rows rows{.weight = weighted ? w.data() : nullptr, .bias = weighted ? b.data() : nullptr};
      rows.weight_type = weight_type;
      rows.eps = 1e-3f;
      const auto norm = [&](const std::vector<float>& x, bool centred) {
        const auto n = static_cast<double>(x.size());
        double mean = 0, squares = 0;
        for (float v : x) mean += centred ? double{v} / n : 0;
        for (float v : x) squares += (double{v} - mean) * (double{v} - mean);
        Doubles y;
        for (size_t i = 0; i < x.size(); ++i)
          y.push_back((double{x[i]} - mean) / std::sqrt(squares / n + double{rows.eps}) *
                          (weighted ? double{w.floats[i]} : 1) +
                      (weighted && centred ? double{b.floats[i]} : 0));
        return y;
      };
      every_row(kernels().rms_norm, rows, false,
                [&](const std::vector<float>& x) { return norm(x, false); });
      every_row(kernels().layer_norm, rows, false,
                [&](const std::vector<float>& x) { return norm(x, true); });
    }
}

double fold(const Heavy& h, const std::vector<float>& x, RowFold how) {
  double wide = 0;
  FoldRows f{.x = x.data(), .rows = 1, .cols = static_cast<int64_t>(x.size())};
  f.fold = how;
  f.wide = &wide;
  run_workers(h.fold_rows, f, 2);
  return wide;
}

TEST_P(RowsTest, Folds) {
  for (int64_t n : kRowLengths) {
    const auto x = normal(static_cast<size_t>(n), 4);
    double sum = 0, size = 0;
    for (float v : x) sum += double{v}, size += std::fabs(double{v});
    EXPECT_NEAR(fold(kernels(), x, RowFold::sum), sum, 1e-6 * size);
    EXPECT_EQ(fold(kernels(), x, RowFold::max), double{*std::max_element(x.begin(), x.end())});
    EXPECT_EQ(fold(kernels(), x, RowFold::min), double{*std::min_element(x.begin(), x.end())});
  }
  EXPECT_EQ(fold(kernels(), std::vector<float>(size_t{1} << 25, 1.f), RowFold::sum), 33554432.0);
}

TEST_P(RowsTest, Argmax) {
  for (int64_t n : kRowLengths) {
    auto x = normal(static_cast<size_t>(n), 5);
    const auto best = std::max_element(x.begin(), x.end());
    uint32_t got = 0;
    const ArgmaxRows a{.x = x.data(), .rows = 1, .cols = n, .y = &got};
    run_workers(kernels().argmax_rows, a, 1);
    EXPECT_EQ(got, best - x.begin());
    if (best + 1 < x.end()) x.back() = *best;  // the first of equals
    run_workers(kernels().argmax_rows, a, 1);
    EXPECT_EQ(got, best - x.begin());
  }
}

TEST_P(RowsTest, NaNAndInfinity) {
  const auto nan = static_cast<float>(NAN), inf = static_cast<float>(INFINITY);
  for (size_t place : {0u, 5u, 36u}) {
    auto x = normal(37, 6);
    x[place] = nan;
    EXPECT_TRUE(std::isnan(fold(kernels(), x, RowFold::sum)));
    EXPECT_TRUE(std::isnan(fold(kernels(), x, RowFold::max)));
    EXPECT_TRUE(std::isnan(fold(kernels(), x, RowFold::min)));
    std::vector<float> y(37);
    const Rows rows{
        .x = x.data(), .x_stride = 37, .y = y.data(), .y_stride = 37, .rows = 1, .cols = 37};
    for (auto kernel : {kernels().softmax, kernels().rms_norm, kernels().layer_norm}) {
      run_workers(kernel, rows, 1);
      for (float v : y) EXPECT_TRUE(std::isnan(v));
    }
    run_workers(kernels().logsumexp, rows, 1);
    EXPECT_TRUE(std::isnan(y[0]));
    uint32_t at = 0;
    x[20] = 100.f;
    run_workers(kernels().argmax_rows, ArgmaxRows{.x = x.data(), .rows = 1, .cols = 37, .y = &at},
                1);
    EXPECT_EQ(at, place == 0 ? 0u : 20u);
  }
  std::vector<float> low(20, -inf), y(20);
  const Rows rows{
      .x = low.data(), .x_stride = 20, .y = y.data(), .y_stride = 20, .rows = 1, .cols = 20};
  run_workers(kernels().logsumexp, rows, 1);
  EXPECT_EQ(y[0], -inf);
  low[4] = 1.f;
  run_workers(kernels().softmax, rows, 1);
  for (size_t i = 0; i < 20; ++i) EXPECT_EQ(y[i], i == 4 ? 1.f : 0.f);
}

TARN_EVERY_ISA(RowsTest);

// --- levels ------------------------------------------------------------------------------------

TEST(IsaTest, LevelsAndTheirChoice) {
#if defined(__aarch64__)
  constexpr Isa lowest = Isa::neon, missing = Isa::avx2;
#else
  constexpr Isa lowest = Isa::baseline, missing = Isa::neon;
#endif
  EXPECT_EQ(available_isas().front(), lowest);
  const Isa before = best_isa();
  for (Isa isa : available_isas()) {
    set_isa(isa);
    EXPECT_EQ(best_isa(), isa);
    EXPECT_EQ(&heavy(), &heavy(isa));
  }
  set_isa(before);
  for (const CpuFeature& f : cpu_features()) EXPECT_EQ(f.usable, f.why_not.empty()) << f.name;
  std::string names;
  for (Isa isa : available_isas()) names += (names.empty() ? "" : ", ") + std::string(name(isa));
  try {
    set_isa(missing);
    FAIL();
  } catch (const std::exception& e) {
    EXPECT_EQ(e.what(), "[cpu] level " + std::string(name(missing)) +
                            " is not available; this machine has " + names + ".");
  }
}

}  // namespace
}  // namespace tarn::cpu
