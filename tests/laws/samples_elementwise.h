// Samples of elementwise ops, reductions and scans. Included by samples.h.
#pragma once

namespace tarn::laws {

inline void add_unary(Table& t) {
  const Range all{}, positive{0.1, 4}, inside{-0.9, 0.9};
  for (auto name : {"negative", "abs", "sign", "square"}) t[name] = elementwise(numbers_, {all});
  for (auto name : {"floor", "ceil", "trunc"}) t[name] = elementwise(floats, {all}, false);
  for (auto name : {"round", "isnan", "isinf"}) t[name] = elementwise(inexacts, {all}, false);
  for (auto name : {"exp", "expm1", "sin", "cos", "sinh", "cosh", "tanh"})
    t[name] = elementwise(inexacts, {all});
  for (auto name : {"log", "log2", "log10", "sqrt", "rsqrt"})
    t[name] = elementwise(inexacts, {positive});
  t["log1p"] = elementwise(inexacts, {{-0.8, 3}});
  t["tan"] = elementwise(inexacts, {{-1.2, 1.2}});
  for (auto name : {"arcsin", "arccos", "arctanh", "erfinv"})
    t[name] = elementwise(floats, {inside});
  for (auto name : {"arctan", "arcsinh", "sigmoid", "erf"}) t[name] = elementwise(floats, {all});
  t["arccosh"] = elementwise(floats, {{1.2, 4}});
  for (auto name : {"conjugate", "real", "imag"}) t[name] = elementwise({complex64}, {all}, true);
  t["logical_not"] = elementwise({bool_}, {all}, false);
  t["bitwise_invert"] = elementwise(integers, {all}, false);
  t["copy"] = elementwise(numbers_, {all});
  t["astype"] = {numbers_, [](Dtype from) {
                   std::vector<Sample> out;
                   for (Dtype to : {float32, float64, int32, uint8, bool_, complex64, float16,
                                    bfloat16, int64}) {
                     if (from == complex64 && to != complex64) continue;
                     // Casting a negative float to an unsigned integer is not defined.
                     Sample s{name_of(to), ops::AsType::P{to}, {numbers({3, 5}, from, 0, 9)}};
                     if (to == float64) s.smooth = {0};
                     out.push_back(s);
                   }
                   return out;
                 }};
}

inline void add_binary(Table& t) {
  const Range all{}, apart{0.5, 3}, bits{0, 9};
  for (auto name : {"add", "subtract", "multiply", "maximum", "minimum"})
    t[name] = elementwise(numbers_, {all, all});
  t["divide"] = elementwise(inexacts, {all, apart});
  t["floor_divide"] = elementwise(reals, {{-9, 9}, apart}, false);
  t["remainder"] = elementwise(reals, {{-9, 9}, apart});
  t["power"] = elementwise(numbers_, {{0.4, 3}, {0, 3}});
  t["power"].tolerance = 2e-5;
  t["arctan2"] = elementwise(floats, {all, all});
  t["logaddexp"] = elementwise(floats, {all, all});
  for (auto name : {"equal", "not_equal", "less", "less_equal", "greater", "greater_equal"})
    t[name] = elementwise(numbers_, {all, all}, false);
  for (auto name : {"logical_and", "logical_or", "logical_xor"})
    t[name] = elementwise({bool_}, {all, all}, false);
  for (auto name : {"bitwise_and", "bitwise_or", "bitwise_xor"})
    t[name] = elementwise(integers, {{-9, 9}, {-9, 9}}, false);
  for (auto name : {"left_shift", "right_shift"})
    t[name] = elementwise(together({}, {uint8, uint16, uint32, uint64, int8, int16, int32, int64}),
                          {{-9, 9}, bits}, false);
  t["where"] = {numbers_, [](Dtype d) {
                  auto samples = elementwise({d}, {{}, {}, {}}, false).make(d);
                  for (auto& s : samples) {
                    s.in[0] = numbers(s.in[0].shape(), bool_, 0, 1, 1);
                    if (is_float(d)) s.smooth = {1, 2};
                  }
                  return samples;
                }};
}

// Along every axis and several, over short, long, thin and strided rows.
inline std::vector<Sample> reductions(Dtype t, Range r, bool smooth, bool one_axis, bool empty) {
  std::vector<std::pair<Shape, Axes>> cases{{{3, 4, 5}, {0}}, {{3, 4, 5}, {1}}, {{3, 4, 5}, {2}},
                                            {{7}, {0}},       {{1, 1}, {1}},    {{300}, {0}},
                                            {{0, 3}, {1}},    {{2, 70}, {1}},   {{70, 2}, {0}}};
  if (!one_axis) {
    cases.push_back({{3, 4, 5}, {0, 2}});
    cases.push_back({{3, 4, 5}, {0, 1, 2}});
    cases.push_back({{3, 4, 5}, {1, 2}});
  }
  if (empty) cases.push_back({{0, 3}, {0}});
  std::vector<Sample> out;
  for (auto& [shape, axes] : cases)
    out.push_back({fmt::format("({}) over {}", joined(shape, ","), joined(axes, ",")),
                   ops::ReduceParams{axes},
                   {numbers(shape, t, r.lo, r.hi)},
                   smooth ? std::vector<int>{0} : std::vector<int>{}});
  return out;
}
inline std::vector<Sample> scans(Dtype t, Range r, bool smooth) {
  std::vector<Sample> out;
  for (bool reverse : {false, true})
    for (bool inclusive : {false, true})
      for (auto [shape, axis] : std::vector<std::pair<Shape, int>>{
               {{3, 4}, 0}, {{3, 4}, 1}, {{19}, 0}, {{0, 2}, 1}, {{2, 3, 2}, 1}})
        out.push_back({fmt::format("({}) over {} reverse {} inclusive {}", joined(shape, ","), axis,
                                   reverse, inclusive),
                       ops::ScanParams{axis, reverse, inclusive},
                       {numbers(shape, t, r.lo, r.hi)},
                       smooth ? std::vector<int>{0} : std::vector<int>{}});
  return out;
}

inline void add_folds(Table& t) {
  t["sum"] = {numbers_, [](Dtype d) { return reductions(d, {}, true, false, true); }, 2e-6};
  t["prod"] = {together(numbers_, {}),
               [](Dtype d) {
                 return reductions(d, is_float(d) ? Range{0.9, 1.1} : Range{}, true, true, true);
               },
               2e-5};
  for (auto name : {"max", "min"})
    t[name] = {numbers_, [](Dtype d) { return reductions(d, {}, true, false, false); }};
  for (auto name : {"all", "any"})
    t[name] = {{bool_}, [](Dtype d) { return reductions(d, {}, false, false, true); }};
  for (auto name : {"argmax", "argmin"})
    t[name] = {numbers_, [](Dtype d) {
                 std::vector<Sample> out;
                 for (auto& s : reductions(d, {}, false, true, false)) {
                   s.params = ops::ArgParams{s.params.as<ops::ReduceParams>().axes[0]};
                   out.push_back(s);
                 }
                 return out;
               }};
  t["cumsum"] = {numbers_, [](Dtype d) { return scans(d, {}, true); }, 2e-6};
  t["cumprod"] = {numbers_,
                  [](Dtype d) {
                    return scans(d, is_float(d) ? Range{0.9, 1.3} : Range{}, true);
                  },
                  2e-5};
  for (auto name : {"cummax", "cummin"})
    t[name] = {reals, [](Dtype d) { return scans(d, {}, true); }};
  t["linear_recurrence"] = {
      inexacts,
      [](Dtype d) {
        std::vector<Sample> out;
        for (bool reverse : {false, true})
          out.push_back({reverse ? "reverse" : "forward",
                         ops::LinearRecurrence::P{1, reverse},
                         {numbers({3, 7}, d, -1, 1), numbers({3, 7}, d, -3, 3, 1)},
                         {0, 1}});
        out.push_back({"first axis",
                       ops::LinearRecurrence::P{0, false},
                       {numbers({5, 2}, d, -1, 1), numbers({5, 2}, d, -3, 3, 1)},
                       {0, 1}});
        return out;
      },
      2e-5};
  t["logcumsumexp"] = {floats, [](Dtype d) { return scans(d, {}, true); }, 1e-5};
}

}  // namespace tarn::laws
