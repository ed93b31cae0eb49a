// Samples of contractions, fused ops and sources. Included by samples.h.
#pragma once

namespace tarn::laws {

inline std::vector<Sample> matmuls(Dtype t) {
  std::vector<Sample> out;
  for (auto [a, b] : std::vector<std::pair<Shape, Shape>>{{{3, 4}, {4, 5}},
                                                          {{1, 64}, {64, 33}},
                                                          {{17, 40}, {40, 1}},
                                                          {{2, 3, 4}, {4, 2}},
                                                          {{2, 1, 3, 4}, {3, 4, 2}},
                                                          {{0, 3}, {3, 2}},
                                                          {{2, 0}, {0, 3}}})
    out.push_back({fmt::format("({}) ({})", joined(a, ","), joined(b, ",")),
                   {},
                   {numbers(a, t, -1, 1), numbers(b, t, -1, 1, 1)},
                   {0, 1}});
  return out;
}

inline void add_float_codings(Dtype t, bool product, std::vector<Sample>& out);
inline void add_affine_batches(Dtype t, std::vector<Sample>& out);

// Words whose codes are all over the range.
inline array words(Shape shape) { return random::bits(shape, 4, random::key(3)); }
inline std::vector<Sample> quantized(Dtype t, bool product) {
  std::vector<Sample> out;
  for (int bits : {2, 3, 4, 5, 6, 8})
    for (int group : {32, 64}) {
      int64_t k = 128, n = 6, packed = k * bits / 32;
      array scales = numbers({n, k / group}, t, 0.01, 0.1),
            biases = numbers({n, k / group}, t, -1, 0, 1);
      auto name = fmt::format("{} bits, groups of {}", bits, group);
      if (!product) {
        out.push_back({name,
                       ops::Dequantize::P{group, bits, t},
                       {words({n, packed}), scales, biases},
                       {1, 2}});
        continue;
      }
      for (int64_t rows : {1, 5})
        out.push_back({name,
                       ops::QuantizedMatmul::P{group, bits, true, Precision::exact},
                       {numbers({rows, k}, t, -1, 1), words({n, packed}), scales, biases},
                       {0, 2, 3}});
      out.push_back({name + ", not transposed",
                     ops::QuantizedMatmul::P{group, bits, false, Precision::exact},
                     {numbers({2, n}, t, -1, 1), words({n, packed}), scales, biases},
                     {0, 2, 3}});
    }
  add_float_codings(t, product, out);
  if (product) add_affine_batches(t, out);
  return out;
}

inline std::vector<Sample> rows_of(Dtype t, const Params& params) {
  return {{"(3,5)", params, {numbers({3, 5}, t)}, {0}},
          {"(2,2,70)", params, {numbers({2, 2, 70}, t)}, {0}},
          {"(1)", params, {numbers({1}, t)}, {0}},
          {"(0,4)", params, {numbers({0, 4}, t)}, {0}}};
}
inline std::vector<Sample> rms_norms(Dtype t) {
  auto out = rows_of(t, ops::RmsNorm::P{1e-5f});
  out.push_back({"weight",
                 ops::RmsNorm::P{1e-5f},
                 {numbers({3, 40}, t), numbers({40}, t, 0.5, 2, 1)},
                 {0, 1}});
  out.push_back(
      {"one row", ops::RmsNorm::P{1e-5f}, {numbers({40}, t), numbers({40}, t, 0.5, 2, 1)}, {0, 1}});
  return out;
}
inline std::vector<Sample> layer_norms(Dtype t) {
  std::vector<Sample> out;
  for (bool weight : {false, true})
    for (bool bias : {false, true}) {
      Sample s{fmt::format("weight {} bias {}", weight, bias),
               ops::LayerNorm::P{1e-5f, weight, bias},
               {numbers({3, 40}, t)},
               {0}};
      if (weight) s.in.push_back(numbers({40}, t, 0.5, 2, 1));
      if (bias) s.in.push_back(numbers({40}, t, -1, 1, 2));
      for (int i = 1; i < static_cast<int>(s.in.size()); ++i) s.smooth.push_back(i);
      out.push_back(s);
      s.in[0] = numbers({2, 1, 40}, t);
      out.push_back(s);
    }
  return out;
}
inline std::vector<Sample> ropes(Dtype t) {
  std::vector<Sample> out;
  for (bool traditional : {false, true}) {
    array x = numbers({2, 3, 8}, t);
    auto name = fmt::format("traditional {}", traditional);
    out.push_back({name, ops::Rope::P{8, traditional, 100, 1, 0}, {x}, {0}});
    out.push_back({name + " part, offset", ops::Rope::P{4, traditional, 100, 0.5f, 7}, {x}, {0}});
    out.push_back({name + " freqs",
                   ops::Rope::P{8, traditional, 0, 1, 2},
                   {x, numbers({4}, float32, 1, 20)},
                   {0},
                   {1}});
    out.push_back(
        {name + " 2-d", ops::Rope::P{8, traditional, 100, 1, 0}, {numbers({5, 8}, t)}, {0}});
    out.push_back(
        {name + " 4-d", ops::Rope::P{8, traditional, 100, 1, 3}, {numbers({2, 2, 5, 8}, t)}, {0}});
  }
  return out;
}
inline std::vector<Sample> attentions(Dtype t) {
  array q = numbers({2, 4, 3, 8}, t, -1, 1), k = numbers({2, 2, 6, 8}, t, -1, 1, 1);
  array v = numbers({2, 2, 6, 8}, t, -1, 1, 2), one = numbers({1, 4, 1, 8}, t, -1, 1);
  array k1 = numbers({1, 4, 5, 8}, t, -1, 1, 1), v1 = numbers({1, 4, 5, 6}, t, -1, 1, 2);
  array mask = numbers({2, 4, 3, 6}, t, -1, 1, 3), keep = numbers({3, 6}, bool_, 0, 1, 1);
  array sinks = numbers({4}, t, -1, 1, 4);
  using P = ops::Attention::P;
  return {{"plain", P{0.35f, false, false, false, 6}, {q, k, v}, {0, 1, 2}},
          {"causal", P{0.35f, true, false, false, 6}, {q, k, v}, {0, 1, 2}},
          {"one query", P{0.35f, false, false, false, 5}, {one, k1, v1}, {0, 1, 2}},
          {"cache", P{0.35f, true, false, false, 4}, {q, k, v}, {0, 1, 2}},
          {"mask", P{0.35f, false, true, false, 6}, {q, k, v, mask}, {0, 1, 2, 3}},
          {"bool mask", P{0.35f, false, true, false, 6}, {q, k, v, keep}, {0, 1, 2}},
          {"softcap", P{0.35f, true, false, false, 6, 0.5f}, {q, k, v}, {0, 1, 2}},
          {"window", P{0.35f, true, false, false, 6, 0, 2}, {q, k, v}, {0, 1, 2}},
          {"sinks", P{0.35f, false, false, true, 6}, {q, k, v, sinks}, {0, 1, 2, 3}, {3}}};
}

inline std::vector<Sample> attentions_back(Dtype t) {
  std::vector<Sample> out;
  auto add = [&](const char* label, bool causal, int64_t shared, int64_t rows, int64_t keys) {
    array q = numbers({2, 4, rows, 6}, t, -1, 1), k = numbers({2, shared, keys, 6}, t, -1, 1, 1);
    array v = numbers({2, shared, keys, 5}, t, -1, 1, 2), g = numbers({2, 4, rows, 5}, t, -1, 1, 3);
    out.push_back({label, ops::AttentionBack::P{0.4f, causal}, {q, k, v, g}, {0, 1, 2, 3}});
  };
  add("all keys", false, 4, 3, 5);
  add("causal", true, 2, 4, 4);
  add("causal, keys before", true, 1, 2, 5);
  return out;
}
inline std::vector<Sample> rms_norms_back(Dtype t) {
  array x = numbers({3, 40}, t), g = numbers({3, 40}, t, -1, 1, 1), w = numbers({40}, t, 0.5, 2, 2);
  return {{"plain", ops::RmsNormBack::P{1e-5f}, {x, g}, {0, 1}},
          {"weight", ops::RmsNormBack::P{1e-5f}, {x, g, w}, {0, 1, 2}}};
}
inline std::vector<Sample> cross_entropies(Dtype t) {
  array classes = array({3, 0, 6}, int32);
  return {{"rows", {}, {numbers({3, 7}, t), classes}, {0}},
          {"a row", {}, {numbers({7}, t), array(5, int32)}, {0}}};
}
inline std::vector<Sample> cross_entropies_back(Dtype t) {
  array classes = array({3, 0, 6}, int32), g = numbers({3}, t, -1, 1, 1);
  return {{"rows", {}, {numbers({3, 7}, t), classes, g}, {0, 2}}};
}

inline std::vector<Sample> delta_rules(Dtype t) {
  std::vector<Sample> out;
  auto add = [&](const char* label, int64_t steps, int64_t shared, Shape gates, int64_t rows,
                 int64_t columns) {
    array q = numbers({2, steps, shared, columns}, t, -0.5, 0.5);
    array k = numbers({2, steps, shared, columns}, t, -0.5, 0.5, 1);
    array v = numbers({2, steps, 4, rows}, t, -1, 1, 2);
    array state = numbers({2, 4, rows, columns}, t, -1, 1, 3);
    out.push_back({label,
                   {},
                   {q, k, v, numbers(std::move(gates), t, 0.4, 0.9),
                    numbers({2, steps, 4}, t, 0.2, 0.8, 1), state},
                   {0, 1, 2, 3, 4, 5}});
  };
  add("own keys", 3, 4, {2, 3, 4}, 3, 5);
  add("shared keys", 3, 2, {2, 3, 4}, 2, 4);
  add("a gate a column", 3, 2, {2, 3, 4, 9}, 2, 9);
  add("rows of two blocks", 2, 1, {2, 2, 4}, 18, 3);
  add("no step", 0, 2, {2, 0, 4}, 2, 4);
  return out;
}

inline void add_compounds(Table& t) {
  t["matmul"] = {inexacts, matmuls, 2e-6};
  t["quantized_matmul"] = {floats, [](Dtype d) { return quantized(d, true); }, 1e-5};
  t["dequantize"] = {floats, [](Dtype d) { return quantized(d, false); }};
  t["softmax"] = {floats, [](Dtype d) { return rows_of(d, ops::Softmax::P{}); }, 4e-6};
  t["logsumexp"] = {floats, [](Dtype d) { return rows_of(d, ops::LogSumExp::P{}); }, 4e-6};
  t["cross_entropy"] = {floats, cross_entropies, 4e-6};
  t["cross_entropy_back"] = {floats, cross_entropies_back, 4e-6};
  t["rms_norm_back"] = {floats, rms_norms_back, 4e-6};
  t["attention_back"] = {floats, attentions_back, 1e-5};
  t["sort"] = {numbers_, [](Dtype d) {
                 return std::vector<Sample>{{"last", ops::Sort::P{1}, {numbers({3, 40}, d)}, {0}},
                                            {"kth", ops::Sort::P{0, 4}, {numbers({7, 3}, d)}, {0}},
                                            {"first", ops::Sort::P{0}, {numbers({7, 3}, d)}, {0}},
                                            {"empty", ops::Sort::P{1}, {numbers({3, 0}, d)}, {0}}};
               }};
  t["sparse_matmul"] = {
      inexacts,
      [](Dtype d) {
        array starts = array({0, 2, 2, 5}, int64);
        array columns = array({0, 3, 1, 1, 2}, int64);
        auto sample = [&](const char* label, Shape x) {
          return Sample{
              label,
              {},
              {starts, columns, numbers({5}, d, -1, 1), numbers(std::move(x), d, -1, 1, 1)},
              {2, 3},
              {0, 1}};
        };
        return std::vector<Sample>{sample("matrix", {4, 3}), sample("column", {4, 1}),
                                   sample("nothing", {4, 0})};
      },
      4e-6};
  t["rms_norm"] = {floats, rms_norms, 4e-6};
  t["layer_norm"] = {floats, layer_norms, 1e-5};
  t["rope"] = {floats, ropes, 2e-5};
  t["attention"] = {floats, attentions, 1e-5};
  t["gated_delta"] = {floats, delta_rules, 1e-5};
  t["arange"] = {together({float32, float64, float16}, {int32, int64, uint8}), [](Dtype d) {
                   return std::vector<Sample>{{"ten", ops::Arange::P{2, 3, 10, d}, {}},
                                              {"none", ops::Arange::P{2, 3, 0, d}, {}}};
                 }};
  t["element_count"] = {{float32, float64, float16, bfloat16, int32, int64, complex64},
                        [](Dtype d) {
                          using P = ops::ElementCount::P;
                          return std::vector<Sample>{{"count", P{{2, 3}, false, 0, d}, {}},
                                                     {"part", P{{4, 3}, true, 2, d}, {}},
                                                     {"of nothing", P{{0, 3}, false, 0, d}, {}}};
                        }};
  t["random_bits"] = {
      {uint32}, [](Dtype) {
        std::vector<Sample> out;
        for (int width : {1, 2, 4})
          for (Shape shape : {Shape{5}, Shape{}, Shape{3, 7}, Shape{0}})
            for (Shape keys : {Shape{2}, Shape{3, 2}})
              out.push_back({fmt::format("width {} shape ({})", width, joined(shape, ",")),
                             ops::RandomBits::P{shape, width},
                             {indices(keys, 1000, uint32, 17)}});
        return out;
      }};
}

}  // namespace tarn::laws
