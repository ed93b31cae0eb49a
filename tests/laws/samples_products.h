// Samples of quantised weights in every mode, and of products of pairs and segments. Included by
// samples.h.
#pragma once

namespace tarn::laws {

struct Coded {
  ops::Coding coding{};
  int group = 0, bits = 0;
  const char* name = "";
};
inline const std::vector<Coded> float_codings{{ops::Coding::mxfp4, 32, 4, "mxfp4"},
                                              {ops::Coding::mxfp8, 32, 8, "mxfp8"},
                                              {ops::Coding::nvfp4, 16, 4, "nvfp4"}};

// Codes and scales (batch..., n, k) of small floats, none of them NaN.
inline Arrays float_coded(const Coded& c, Shape shape) {
  Shape packed = shape, scales = shape;
  packed.back() = shape.back() * c.bits / 32;
  scales.back() = shape.back() / c.group;
  array codes = bitwise_and(random::bits(packed, 4, random::key(3)), array(0xbfbfbfbfu, uint32));
  bool e4m3 = c.coding == ops::Coding::nvfp4;
  return {codes, astype(numbers(scales, float64, e4m3 ? 40 : 122, e4m3 ? 60 : 127, 1), uint8)};
}
// Codes, scales and biases of affine weights.
inline Arrays affine_coded(int group, int bits, Shape shape, Dtype t) {
  Shape packed = shape, scales = shape;
  packed.back() = shape.back() * bits / 32;
  scales.back() = shape.back() / group;
  return {random::bits(packed, 4, random::key(3)), numbers(scales, t, 0.01, 0.1),
          numbers(scales, t, -1, 0, 1)};
}
inline Arrays joined_inputs(Arrays first, const Arrays& more) {
  first.insert(first.end(), more.begin(), more.end());
  return first;
}

inline void add_float_codings(Dtype t, bool product, std::vector<Sample>& out) {
  for (const auto& c : float_codings) {
    if (!product) {
      out.push_back(
          {c.name, ops::Dequantize::P{c.group, c.bits, t, c.coding}, float_coded(c, {6, 96}), {}});
      continue;
    }
    ops::QuantizedMatmul::P p{c.group, c.bits, true, Precision::exact, c.coding};
    for (int64_t rows : {1, 5, 20})
      out.push_back({c.name,
                     p,
                     joined_inputs({numbers({rows, 96}, t, -1, 1)}, float_coded(c, {6, 96})),
                     {0}});
    out.push_back({std::string(c.name) + ", many matrices",
                   p,
                   joined_inputs({numbers({2, 1, 3, 32}, t, -1, 1)}, float_coded(c, {3, 4, 32})),
                   {0}});
    p.transpose = false;
    out.push_back({std::string(c.name) + ", not transposed",
                   p,
                   joined_inputs({numbers({2, 6}, t, -1, 1)}, float_coded(c, {6, 96})),
                   {0}});
  }
}
inline void add_affine_batches(Dtype t, std::vector<Sample>& out) {
  for (bool transpose : {true, false})
    out.push_back({fmt::format("many matrices, transposed {}", transpose),
                   ops::QuantizedMatmul::P{32, 5, transpose, Precision::exact},
                   joined_inputs({numbers({2, 3, transpose ? 64 : 4}, t, -1, 1)},
                                 affine_coded(32, 5, {2, 4, 64}, t)),
                   {0, 2, 3}});
}

inline std::vector<Sample> gather_products(Dtype t) {
  array mixed = indices({6}, 4, uint32), chosen = indices({6}, 3, int32, 1);
  array rising = arange(0.0, 5.0, int64), sorted = array({0, 0, 1, 1, 1}, uint8);
  return {
      {"mixed",
       {},
       {numbers({4, 3, 5}, t, -1, 1), numbers({3, 5, 2}, t, -1, 1, 1), mixed, chosen},
       {0, 1}},
      {"sorted rows",
       {},
       {numbers({5, 1, 20}, t, -1, 1), numbers({2, 20, 9}, t, -1, 1, 1), rising, sorted},
       {0, 1}},
      {"sorted matrices",
       {},
       {numbers({5, 12, 4}, t, -1, 1), numbers({2, 4, 3}, t, -1, 1, 1), rising, sorted},
       {0, 1}},
      {"from the end",
       {},
       {numbers({4, 2, 3}, t, -1, 1), numbers({3, 3, 2}, t, -1, 1, 1), array({-1, 0}, int32),
        array({-3, -2}, int32)},
       {0, 1}},
      {"large",
       {},
       {numbers({3, 1, 300}, t, -1, 1), numbers({2, 300, 900}, t, -1, 1, 1),
        array({2, 0, 1}, int32), array({1, 0, 0}, int32)},
       {}},
      {"no pairs",
       {},
       {numbers({4, 3, 5}, t), numbers({3, 5, 2}, t), zeros({0}, uint32), zeros({0}, uint32)},
       {0, 1}},
      {"nothing to add", {}, {numbers({4, 3, 0}, t), numbers({3, 0, 2}, t), mixed, chosen}, {}}};
}
inline std::vector<Sample> gather_quantized(Dtype t) {
  std::vector<Sample> out;
  array mixed = indices({6}, 4, uint32), chosen = indices({6}, 3, int32, 1);
  array rising = arange(0.0, 12.0, int64), sorted = array({0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1});
  using P = ops::GatherQuantizedMatmul::P;
  auto add = [&](std::string name, P p, const Arrays& w, std::vector<int> smooth) {
    int64_t k = p.transpose ? 64 : 4;
    Arrays in = joined_inputs({numbers({4, 2, k}, t, -1, 1)}, w);
    out.push_back({name, p, joined_inputs(in, {mixed, chosen}), smooth});
    in[0] = numbers({12, 1, k}, t, -1, 1);
    out.push_back({name + ", sorted rows", p, joined_inputs(in, {rising, sorted}), smooth});
  };
  for (bool transpose : {true, false}) {
    auto turned = transpose ? "" : ", not transposed";
    for (int bits : {3, 4})
      add(fmt::format("{} bits{}", bits, turned), P{32, bits, transpose, ops::Coding::affine},
          affine_coded(32, bits, {3, 4, 64}, t), {0, bits == 3 ? 2 : 3});
    for (const auto& c : float_codings)
      add(fmt::format("{}{}", c.name, turned), P{c.group, c.bits, transpose, c.coding},
          float_coded(c, {3, 4, 64}), {0});
  }
  return out;
}

inline std::vector<Sample> segmented_products(Dtype t) {
  array over = array({0, 2, 2, 7, 5, 5, 1, 6}, {1, 4, 2}, int32);
  array two = array({0, 3, 3, 5, 5, 5, 1, 2}, {2, 2, 2}, uint32);
  array long_ones = array({0, 90, 90, 150, 20, 130}, {1, 3, 2}, int64);
  return {{"overlapping",
           {},
           {numbers({1, 3, 7}, t, -1, 1), numbers({1, 7, 4}, t, -1, 1, 1), over},
           {0, 1}},
          {"two", {}, {numbers({2, 3, 5}, t, -1, 1), numbers({2, 5, 4}, t, -1, 1, 1), two}, {0, 1}},
          {"long",
           {},
           {numbers({1, 70, 150}, t, -1, 1), numbers({1, 150, 80}, t, -1, 1, 1), long_ones},
           {}},
          {"none",
           {},
           {numbers({1, 3, 7}, t), numbers({1, 7, 4}, t), zeros({1, 0, 2}, int32)},
           {0, 1}}};
}
inline std::vector<Sample> segmented_rows(Dtype t) {
  array over = array({0, 2, 2, 7, 5, 5, 1, 6}, {1, 4, 2}, int32);
  array two = array({0, 3, 3, 5, 5, 5, 1, 2}, {2, 2, 2}, uint32);
  array long_ones = array({0, 90, 90, 150, 20, 130}, {1, 3, 2}, int64);
  return {
      {"overlapping",
       {},
       {numbers({1, 7, 4}, t, -1, 1), numbers({1, 4, 4, 3}, t, -1, 1, 1), over},
       {0, 1}},
      {"two", {}, {numbers({2, 5, 4}, t, -1, 1), numbers({2, 2, 4, 3}, t, -1, 1, 1), two}, {0, 1}},
      {"long",
       {},
       {numbers({1, 150, 80}, t, -1, 1), numbers({1, 3, 80, 70}, t, -1, 1, 1), long_ones},
       {}},
      {"none",
       {},
       {numbers({1, 7, 4}, t), numbers({1, 0, 4, 3}, t), zeros({1, 0, 2}, int32)},
       {0, 1}}};
}

// A product that a low-rank term goes along with, or with u in the place of a.
inline std::vector<Sample> with_terms(Dtype t, bool plus) {
  std::vector<Sample> out;
  for (bool transpose : {true, false})
    for (int64_t rows : {2, 17}) {
      int64_t n = 64, k = 96, rank = 3, depth = transpose ? k : n, outputs = transpose ? n : k;
      Sample s{fmt::format("{} rows, transpose {}", rows, transpose),
               ops::LowRankMatmul::P{32, 4, transpose, Precision::exact},
               {numbers({rows, depth}, t, -1, 1)},
               {0, 2, 3, 4, 5}};
      for (const array& part : affine_coded(32, 4, {n, k}, t)) s.in.push_back(part);
      s.in.push_back(numbers({plus ? rows : depth, rank}, t, -1, 1, 3));
      s.in.push_back(numbers({rank, outputs}, t, -1, 1, 2));
      out.push_back(s);
    }
  return out;
}

// Rows that share a term and rows that do not, a stack of rows, and more rows than a kernel takes.
inline std::vector<Sample> terms_of_rows(Dtype t) {
  auto sample = [&](std::string name, Shape rows, int64_t rank, array index) {
    Shape x = rows, y = rows;
    x.push_back(40), y.push_back(70);
    return Sample{
        std::move(name),
        {},
        {numbers(y, t, -1, 1), numbers(x, t, -1, 1, 1), numbers({3, 40, rank}, t, -1, 1, 2),
         numbers({3, rank, 70}, t, -1, 1, 3), std::move(index)},
        {0, 1, 2, 3}};
  };
  return {sample("pairs", {5}, 8, array({0, 0, 2, -1, 1}, {5}, int32)),
          sample("a stack", {2, 3}, 3, array({2, 2, 2, 0, 0, 1}, {6}, uint32)),
          sample("one row", {1, 1}, 8, array({1}, {1}, int64)),
          sample("no rank", {2}, 0, array({1, 0}, {2}, int32)),
          sample("many", {70}, 4, remainder(arange(0.0, 70.0, int32), array(int32_t{3})))};
}

inline void add_products(Table& t) {
  t["low_rank_rows"] = {floats, terms_of_rows, 1e-5};
  t["low_rank_matmul"] = {floats, [](Dtype d) { return with_terms(d, false); }, 1e-5};
  t["quantized_matmul_plus"] = {floats, [](Dtype d) { return with_terms(d, true); }, 1e-5};
  t["gather_mm"] = {floats, gather_products, 4e-6};
  t["gather_qmm"] = {floats, gather_quantized, 1e-5};
  t["segmented_mm"] = {floats, segmented_products, 4e-6};
  t["segmented_rows"] = {floats, segmented_rows, 4e-6};
}

}  // namespace tarn::laws
