// Derivatives: against differences in float64, against each other, and of derivatives.
#include "laws/compare.h"

namespace tarn::laws {
namespace {

using Function = std::function<array(const Arrays&)>;

ArraysFunction many(Function f) {
  return [f](const Arrays& x) { return Arrays{f(x)}; };
}
// The op as a function of its smooth inputs.
Function of_smooth(const Op& op, const Sample& s) {
  return [&op, &s](const Arrays& x) {
    Arrays in = s.in;
    for (size_t i = 0; i < s.smooth.size(); ++i) in[static_cast<size_t>(s.smooth[i])] = x[i];
    return call(op, s.params, in);
  };
}
Arrays smooth_inputs(const Sample& s) {
  Arrays x;
  for (int i : s.smooth) x.push_back(s.in[static_cast<size_t>(i)]);
  return x;
}
Arrays directions(const Arrays& like) {
  Arrays t;
  for (size_t i = 0; i < like.size(); ++i)
    t.push_back(numbers(like[i].shape(), float64, -1, 1, static_cast<int>(i) + 2));
  return t;
}
double dot(const Arrays& a, const Arrays& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += laws::dot(a[i], b[i]);
  return sum;
}
// (f(x + h t) - f(x - h t)) / 2h; 0 where f is infinite.
array difference(const Function& f, const Arrays& x, const Arrays& t, double h = 1e-6) {
  Arrays above, below;
  for (size_t i = 0; i < x.size(); ++i) {
    above.push_back(x[i] + t[i] * constant(x[i], h));
    below.push_back(x[i] - t[i] * constant(x[i], h));
  }
  array up = f(above);
  return where(isinf(up), constant(up, 0), (up - f(below)) * constant(up, 0.5 / h));
}
template <class F>
void for_each_smooth(F f) {
  for_each_sample([&](const Op& op, Dtype t, const Sample& s) {
    if (t != float64 || s.smooth.empty()) return;
    SCOPED_TRACE(name(op, t, s));
    try {
      f(op, s);
    } catch (const std::exception& e) {
      ADD_FAILURE() << e.what();
    }
  });
}

TEST(Derivatives, AreWhatDifferencesSay) {
  int checked = 0;
  for_each_smooth([&](const Op& op, const Sample& s) {
    ++checked;
    Arrays x = smooth_inputs(s), t = directions(x);
    Function f = of_smooth(op, s);
    array pushed = jvp(many(f), x, t).second[0];
    EXPECT_TRUE(close(pushed, difference(f, x, t), 1e-6, 1e-8));
    for (size_t i = 0; x.size() > 1 && i < x.size(); ++i) {  // each input alone
      Arrays alone = t;
      for (size_t k = 0; k < x.size(); ++k)
        if (k != i) alone[k] = zeros_like(t[k]);
      EXPECT_TRUE(close(jvp(many(f), x, alone).second[0], difference(f, x, alone), 1e-6, 1e-8))
          << "input " << i;
    }
  });
  EXPECT_GT(checked, 300);
}

TEST(Derivatives, BackwardIsForwardTransposed) {
  for_each_smooth([](const Op& op, const Sample& s) {
    Arrays x = smooth_inputs(s), t = directions(x);
    auto [out, pushed] = jvp(many(of_smooth(op, s)), x, t);
    array v = numbers(out[0].shape(), float64, -1, 1, 4);
    auto pulled = vjp(many(of_smooth(op, s)), x, {v}).second;
    double forward = laws::dot(v, pushed[0]), backward = dot(pulled, t);
    double size = std::sqrt(laws::dot(v, v) * laws::dot(pushed[0], pushed[0]));
    EXPECT_NEAR(forward, backward, 1e-10 * (size + 1));
    for (size_t i = 0; i < x.size(); ++i) {
      EXPECT_EQ(pulled[i].shape(), x[i].shape());
      EXPECT_EQ(pulled[i].dtype(), x[i].dtype());
    }
  });
}

TEST(Derivatives, OfASumAreGrad) {
  for_each_smooth([](const Op& op, const Sample& s) {
    Arrays x = smooth_inputs(s);
    Function f = of_smooth(op, s);
    std::vector<int> all(x.size());
    for (size_t i = 0; i < x.size(); ++i) all[i] = static_cast<int>(i);
    auto slopes = grad([&](const Arrays& a) { return sum(f(a)); }, all)(x);
    auto pulled = vjp(many(f), x, {ones_like(f(x))}).second;
    for (size_t i = 0; i < x.size(); ++i) EXPECT_TRUE(close(slopes[i], pulled[i], 1e-12));
  });
}

// Where the second derivative jumps or the first is a step, differences say nothing.
TEST(Derivatives, HaveDerivatives) {
  for_each_smooth([](const Op& op, const Sample& s) {
    Arrays x = smooth_inputs(s), t = directions(x);
    Function f = of_smooth(op, s);
    array v = numbers(f(x).shape(), float64, -1, 1, 4);
    for (size_t i = 0; i < x.size(); ++i) {
      Function slope = [&](const Arrays& a) { return vjp(many(f), a, {v}).second[i]; };
      array expected = difference(slope, x, t), w = directions({x[i]})[0];
      EXPECT_TRUE(close(jvp(many(slope), x, t).second[0], expected, 2e-5, 1e-7))
          << "forward, " << i;
      auto pulled = vjp(many(slope), x, {w}).second;
      double size = std::sqrt(laws::dot(w, w) * laws::dot(expected, expected));
      EXPECT_NEAR(dot(pulled, t), laws::dot(w, expected), 2e-5 * (size + 1)) << "backward, " << i;
    }
  });
}

// The numbers between -1 and 1 that a complex tangent has, in directions off both axes.
Arrays complex_directions(const Arrays& like) {
  Arrays t;
  for (size_t i = 0; i < like.size(); ++i)
    t.push_back(numbers(like[i].shape(), complex64, -1, 1, static_cast<int>(i) + 2));
  return t;
}

// A complex number is two real ones: a tangent is the change along any direction of the plane, and
// a cotangent v stands for Re(conj(v) y). In float32 a difference has three digits.
TEST(Derivatives, OfComplexNumbers) {
  int checked = 0;
  for_each_sample([&](const Op& op, Dtype t, const Sample& s) {
    if (t != complex64 || s.smooth.empty()) return;
    array value = call(op, s.params, s.in);
    if (value.size() == 0 || !all(isfinite(value)).item<bool>()) return;
    SCOPED_TRACE(name(op, t, s));
    try {
      ++checked;
      Arrays x = smooth_inputs(s), along = complex_directions(x);
      Function f = of_smooth(op, s);
      auto [out, pushed] = jvp(many(f), x, along);
      // The phases of singular vectors and eigenvectors are nobody's choice: two calls may differ.
      bool has_phases = op.name == "svd" || op.name == "eigh";
      array expected = has_phases ? pushed[0] : difference(f, x, along, 5e-4);
      EXPECT_TRUE(close(pushed[0], expected, 2e-2, 2e-2));
      array v = out[0].dtype() == complex64 ? complex_directions(out)[0] : directions(out)[0];
      auto pulled = vjp(many(f), x, {astype(v, out[0].dtype())}).second;
      double forward = laws::dot(v, pushed[0]), backward = dot(pulled, along);
      double size = std::sqrt(laws::dot(v, v) * laws::dot(pushed[0], pushed[0]));
      EXPECT_NEAR(forward, backward, 1e-4 * (size + 1));
    } catch (const std::exception& e) {
      ADD_FAILURE() << e.what();
    }
  });
  EXPECT_GT(checked, 60);
}

}  // namespace
}  // namespace tarn::laws
