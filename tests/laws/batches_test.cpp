// vmap is a loop.
#include "laws/compare.h"

namespace tarn::laws {
namespace {

constexpr int batch = 3;

array looped(const ArraysFunction& f, const Sample& s, const std::vector<bool>& mapped) {
  Arrays results;
  for (int k = 0; k < batch; ++k) {
    Arrays in;
    for (size_t i = 0; i < s.in.size(); ++i)
      in.push_back(mapped[i] ? example(s, s.in[i], k) : s.in[i]);
    results.push_back(f(in)[0]);
  }
  return stack(results, 0);
}
array batched(const ArraysFunction& f, const Sample& s, const std::vector<bool>& mapped, int axis) {
  Arrays in;
  std::vector<int> axes;
  for (size_t i = 0; i < s.in.size(); ++i) {
    Arrays examples;
    for (int k = 0; k < batch; ++k) examples.push_back(example(s, s.in[i], k));
    int at = std::min(axis, static_cast<int>(s.in[i].ndim()));
    in.push_back(mapped[i] ? stack(examples, at) : s.in[i]);
    axes.push_back(mapped[i] ? at : -1);
  }
  return vmap(f, axes, {0})(in)[0];
}
// Every choice of inputs to map; of many inputs, each alone, all but one, and all.
std::vector<std::vector<bool>> choices(const Sample& s) {
  std::vector<std::vector<bool>> out;
  size_t n = s.in.size();
  for (unsigned bits = 1; bits < (1u << n); ++bits) {
    std::vector<bool> mapped;
    bool allowed = true;
    for (size_t i = 0; i < n; ++i) {
      mapped.push_back(bits >> i & 1);
      for (int w : s.whole) allowed &= !(mapped[i] && static_cast<size_t>(w) == i);
    }
    if (allowed) out.push_back(mapped);
  }
  return out;
}
template <class F>
void for_each_choice(F f) {
  for_each_sample([&](const Op& op, Dtype t, const Sample& s) {
    if (s.in.empty() || (t != float32 && t != int32 && t != complex64 && t != bool_ && t != uint32))
      return;
    for (const auto& mapped : choices(s)) {
      std::string which;
      for (bool m : mapped) which += m ? 'm' : '-';
      SCOPED_TRACE(name(op, t, s) + " " + which);
      try {
        f(op, t, s, mapped);
      } catch (const std::exception& e) {
        ADD_FAILURE() << e.what();
      }
    }
  });
}

TEST(Batches, AreLoops) {
  for_each_choice([](const Op& op, Dtype t, const Sample& s, const std::vector<bool>& mapped) {
    ArraysFunction f = [&](const Arrays& in) { return Arrays{call(op, s.params, in)}; };
    array want = looped(f, s, mapped);
    EXPECT_TRUE(close(batched(f, s, mapped, 0), want, 2 * tolerance(op, t)));
    EXPECT_TRUE(close(batched(f, s, mapped, 1), want, 2 * tolerance(op, t))) << "axis 1";
  });
}

TEST(Batches, OfDerivativesAreLoops) {
  for_each_choice([](const Op& op, Dtype t, const Sample& s, const std::vector<bool>& mapped) {
    if (t != float32) return;
    for (int i : s.smooth) {
      auto at = static_cast<size_t>(i);
      // The derivative by one input, itself a function of all inputs.
      ArraysFunction f = [&](const Arrays& in) {
        ArraysFunction part = [&](const Arrays& x) {
          Arrays all = in;
          all[at] = x[0];
          return Arrays{call(op, s.params, all)};
        };
        ArraySpec out = op.infer(s.params, in);
        return vjp(part, {in[at]}, {numbers(out.shape, float32, -1, 1, 4)}).second;
      };
      EXPECT_TRUE(close(batched(f, s, mapped, 0), looped(f, s, mapped), 1e-4)) << "by input " << i;
    }
  });
}

TEST(Batches, OfBatches) {
  for_each_sample([](const Op& op, Dtype t, const Sample& s) {
    if (t != float32 || s.in.empty() || !s.whole.empty()) return;
    SCOPED_TRACE(name(op, t, s));
    ArraysFunction f = [&](const Arrays& in) { return Arrays{call(op, s.params, in)}; };
    Arrays in;
    for (const auto& x : s.in) {
      Arrays outer;
      for (int k = 0; k < 2; ++k)
        outer.push_back(stack({example(s, x, k), example(s, x, k + 2)}, 0));
      in.push_back(stack(outer, 0));
    }
    array got = vmap(vmap(f))(in)[0];
    Arrays rows;
    for (int k = 0; k < 2; ++k)
      for (int l : {0, 2}) {
        Arrays one;
        for (const auto& x : s.in) one.push_back(example(s, x, k + l));
        rows.push_back(f(one)[0]);
      }
    EXPECT_TRUE(close(got, stack({stack({rows[0], rows[1]}, 0), stack({rows[2], rows[3]}, 0)}, 0),
                      2 * tolerance(op, t)));
  });
}

}  // namespace
}  // namespace tarn::laws
