// What an op computes does not depend on how its operands lie in memory, or on its precision.
#include "laws/compare.h"
#include "runtime/backend.h"

namespace tarn::laws {
namespace {

TEST(Samples, EveryOpHasSamples) {
  for (const Op* op : ops::all()) EXPECT_TRUE(table().count(op->name)) << op->name;
  EXPECT_EQ(table().size(), ops::all().size());
}

TEST(Values, HaveTheInferredShapeAndDtype) {
  for_each_sample([](const Op& op, Dtype t, const Sample& s) {
    SCOPED_TRACE(name(op, t, s));
    ArraySpec want = op.infer(s.params, s.in);
    array y = call(op, s.params, s.in);
    try {
      y.eval();
    } catch (const std::exception& e) {
      ADD_FAILURE() << e.what();
      return;
    }
    EXPECT_EQ(y.shape(), want.shape);
    EXPECT_EQ(y.dtype(), want.dtype);
    EXPECT_EQ(values(y).size(), y.size() * (y.dtype() == complex64 ? 2 : 1));
  });
}

// Float inputs as float64, and the parameters that name a dtype as well.
Sample widened(const Op& op, const Sample& s) {
  Sample w = s;
  for (auto& x : w.in)
    if (is_float(x.dtype())) x = astype(x, float64);
  if (op.name == "dequantize") {
    auto p = w.params.as<ops::Dequantize::P>();
    p.dtype = float64;
    w.params = p;
  }
  return w;
}
TEST(Values, OfNarrowFloatsAreTheRoundedOnesOfFloat64) {
  for_each_sample([](const Op& op, Dtype t, const Sample& s) {
    if (!is_float(t) || t == float64 || s.in.empty() || op.name == "view" || op.name == "astype")
      return;
    SCOPED_TRACE(name(op, t, s));
    array narrow = call(op, s.params, s.in);
    Sample w = widened(op, s);
    array wide = call(op, w.params, w.in);
    EXPECT_TRUE(close(narrow, astype(wide, narrow.dtype()), tolerance(op, t)));
  });
}

// The same values elsewhere: between others, turned round, backwards, as part of a larger row.
std::vector<std::pair<std::string, array>> laid_out_anew(const array& x) {
  std::vector<std::pair<std::string, array>> out;
  if (x.ndim() == 0) {
    array pair = concatenate({reshape(x, {1}), reshape(x, {1})}, 0);
    pair.eval();
    out.emplace_back("one of two", reshape(slice(pair, {1}, {2}), Shape{}));
    return out;
  }
  array spread = repeat(x, 2, -1);
  spread.eval();
  Shape start(x.ndim(), 0), step(x.ndim(), 1);
  step.back() = 2;
  out.emplace_back("every other", slice(spread, start, spread.shape(), step));
  array turned = contiguous(transpose(x));
  turned.eval();
  out.emplace_back("turned", transpose(turned));
  array reversed = contiguous(flip(x));
  reversed.eval();
  out.emplace_back("backwards", flip(reversed));
  array wide = concatenate({x, x}, -1);
  wide.eval();
  Shape from(x.ndim(), 0);
  from.back() = x.shape(-1);
  out.emplace_back("second half", slice(wide, from, wide.shape()));
  return out;
}
TEST(Values, DoNotDependOnStrides) {
  for_each_sample([](const Op& op, Dtype t, const Sample& s) {
    if (s.in.empty()) return;
    SCOPED_TRACE(name(op, t, s));
    array want = call(op, s.params, s.in);
    for (size_t i = 0; i < s.in.size(); ++i)
      for (const auto& [how, moved] : laid_out_anew(s.in[i])) {
        SCOPED_TRACE(fmt::format("input {} {}", i, how));
        Arrays in = s.in;
        in[i] = moved;
        EXPECT_TRUE(close(call(op, s.params, in), want, tolerance(op, t)));
        // The view is a leaf of the graph now, not a part of it.
        in[i].eval();
        EXPECT_TRUE(close(call(op, s.params, in), want, tolerance(op, t)));
      }
  });
}

TEST(Values, OfAKernelAreThoseOfTheExpansion) {
  int compared = 0;
  for_each_sample([&](const Op& op, Dtype t, const Sample& s) {
    if (!op.expand) return;
    SCOPED_TRACE(name(op, t, s));
    ++compared;
    array expansion = op.expand(s.params, s.in)[0];
    const auto& table = cpu_backend().table;
    // An op without a kernel is there for its derivative: what it is expanded to has one.
    EXPECT_FALSE(table.rows(op).empty() && table.rows(*expansion.node()->op).empty());
    EXPECT_TRUE(close(call(op, s.params, s.in), expansion, tolerance(op, t)));
  });
  EXPECT_GT(compared, 100);
}

}  // namespace
}  // namespace tarn::laws
