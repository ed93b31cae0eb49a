// Shapes that the data decides, and sparse matrices.
#include <gtest/gtest.h>

#include <cmath>

#include "tarn/tarn.h"

namespace tarn {
namespace {

bool same(const array& a, const array& b) {
  return a.shape() == b.shape() && a.dtype() == b.dtype() &&
         array_equal(a, b, issubdtype(a.dtype(), inexact)).item<bool>();
}
template <class F>
std::string message_of(F f) {
  try {
    f();
  } catch (const std::exception& e) {
    return e.what();
  }
  return "no error";
}

TEST(Dynamic, NonzeroGivesAnIndexArrayForEachAxis) {
  array a = array({0, 1, 0, 2, 3, 0}, Shape{2, 3});
  auto place = nonzero(a);
  ASSERT_EQ(place.size(), 2u);
  EXPECT_TRUE(same(place[0], array({0, 1, 1}, int64)));
  EXPECT_TRUE(same(place[1], array({1, 0, 1}, int64)));
  EXPECT_TRUE(same(argwhere(a), array({0, 1, 1, 0, 1, 1}, Shape{3, 2}, int64)));
  EXPECT_TRUE(same(nonzero(array(5))[0], array({0}, int64)));
  EXPECT_EQ(argwhere(array(0.0f)).shape(), (Shape{0, 0}));
  EXPECT_EQ(nonzero(zeros(Shape{3, 0}))[1].shape(), Shape{0});
  EXPECT_TRUE(same(nonzero(array({NAN, 0.0f, -0.0f}))[0], array({0}, int64)));
}

TEST(Dynamic, MaskedSelectReadsWhereTheMaskIsTrue) {
  array a = reshape(arange(6), {3, 2});
  EXPECT_TRUE(same(masked_select(a, array({true, false, true})), array({0, 1, 4, 5}, Shape{2, 2})));
  EXPECT_TRUE(same(masked_select(a, a > array(2)), array({3, 4, 5})));
  EXPECT_EQ(masked_select(a, a > array(9)).shape(), Shape{0});
  auto f = [](const array& x) { return sum(square(masked_select(x, x > array(0.0f)))); };
  EXPECT_TRUE(same(grad(f)(array({-1.0f, 2.0f, 3.0f})), array({0.0f, 4.0f, 6.0f})));
  EXPECT_EQ(message_of([&] {
              masked_select(a, array({1, 0, 1}));
            }),
            "[masked_select] the mask is int32; it must be bool.");
  EXPECT_EQ(message_of([&] {
              masked_select(a, array({true, false}));
            }),
            "[masked_select] the mask has shape (2,) and a (3, 2): it must be a's first axes.");
}

TEST(Dynamic, UniqueSaysWhereAndHowOften) {
  array a = array({3.0f, NAN, 1.0f, 3.0f, NAN, 1.0f, 3.0f, 2.0f}, Shape{2, 4});
  Unique u = unique(a);
  EXPECT_TRUE(same(u.values, array({1.0f, 2.0f, 3.0f, NAN})));
  EXPECT_TRUE(same(u.indices, array({2, 7, 0, 1}, int64)));
  EXPECT_TRUE(same(u.counts, array({2, 1, 3, 2}, int64)));
  EXPECT_TRUE(same(u.inverse, array({2, 3, 0, 2, 3, 0, 2, 1}, Shape{2, 4}, int64)));
  EXPECT_TRUE(same(take(u.values, u.inverse), a));
  EXPECT_EQ(unique(zeros(Shape{0, 2})).inverse.shape(), (Shape{0, 2}));
}

TEST(Dynamic, UniqueHasDerivatives) {
  array a = array({2.f, 5.f, 2.f, 3.f});
  array slope = grad([](const array& x) { return sum(square(unique(x).values)); })(a);
  EXPECT_TRUE(same(slope, array({4.f, 10.f, 0.f, 6.f})));
}

TEST(Unique, OfAKnownSizeCanBeTraced) {
  array rows = array({1.f, 3.f, 1.f, 2.f, 2.f, 2.f}, Shape{2, 3});
  ArraysFunction f = [](const std::vector<array>& in) {
    return unique(in[0], 2, false, false, true, array(9.f));
  };
  for (const ArraysFunction& mapped : {vmap(f), compile(vmap(f))}) {
    auto out = mapped({rows});
    EXPECT_TRUE(same(out[0], array({1.f, 3.f, 2.f, 9.f}, Shape{2, 2})));
    EXPECT_TRUE(same(out[1], array({2, 1, 3, 0}, Shape{2, 2})));
  }
}

TEST(Unique, SaysWhatDoesNotFit) {
  array a = array({1, 2});
  EXPECT_EQ(message_of([&] { unique(a, -1); }), "[unique] size is -1; it must not be negative.");
  EXPECT_EQ(message_of([&] { unique(a, 3, false, false, false, a); }),
            "[unique] fill_value has shape (2,); it needs one element.");
  EXPECT_EQ(message_of([&] { unique(zeros(Shape{0}), 3); }),
            "[unique] an empty array has no element to fill 3 places with; give fill_value.");
}

TEST(Dynamic, SaysThatATracedArrayHasNoValue) {
  ArraysFunction f = [](const std::vector<array>& in) { return nonzero(in[0]); };
  EXPECT_EQ(message_of([&] {
              compile(f)({array({1, 0})});
            }),
            "[nonzero] the result's size depends on values that are not known while a function is "
            "traced; call it outside vmap and compile.");
  EXPECT_EQ(message_of([&] {
              vmap(f)({reshape(array({1, 0, 1, 1}), {2, 2})});
            }),
            "[nonzero] the result's size depends on values that are not known while a function is "
            "traced; call it outside vmap and compile.");
  ArraysFunction distinct = [](const std::vector<array>& in) {
    return std::vector<array>{unique(in[0]).values};
  };
  EXPECT_EQ(message_of([&] {
              compile(distinct)({array({1, 0})});
            }),
            "[unique] the result's size depends on values that are not known while a function is "
            "traced; call it outside vmap and compile.");
}

TEST(Sparse, FormsAreTheSameMatrix) {
  array dense = array({0.f, 2.f, 0.f, 0.f, 0.f, 0.f, 1.f, 0.f, 3.f}, Shape{3, 3});
  auto m = sparse::from_dense(dense);
  EXPECT_TRUE(same(m.row_starts, array({0, 1, 1, 3}, int64)));
  EXPECT_TRUE(same(m.columns, array({1, 0, 2}, int64)));
  EXPECT_TRUE(same(m.values, array({2.f, 1.f, 3.f})));
  EXPECT_TRUE(same(sparse::to_dense(m), dense));
  EXPECT_TRUE(same(sparse::to_dense(sparse::transpose(m)), transpose(dense)));
  // Out of order, and one place twice.
  sparse::Coo c{array({2, 0, 2}, int64), array({1, 0, 1}, int64), array({1.f, 5.f, 2.f}), 3, 2};
  EXPECT_TRUE(same(sparse::to_dense(sparse::to_csr(c)),
                   array({5.f, 0.f, 0.f, 0.f, 0.f, 3.f}, Shape{3, 2})));
}

TEST(Sparse, ProductIsTheDenseOne) {
  array dense = where(random::bernoulli(0.1f, Shape{60, 40}, random::key(1)),
                      random::normal(Shape{60, 40}, random::key(2)), array(0.0f));
  array x = random::normal(Shape{40, 7}, random::key(3));
  auto m = sparse::from_dense(dense);
  EXPECT_TRUE(allclose(sparse::matmul(m, x), matmul(dense, x), 1e-5, 1e-5).item<bool>());
  array column = take(x, 0, 1);
  EXPECT_TRUE(allclose(sparse::matmul(m, column), matmul(dense, column), 1e-5, 1e-5).item<bool>());
  auto loss = [&](const array& b) { return sum(square(sparse::matmul(m, b))); };
  auto wanted = [&](const array& b) { return sum(square(matmul(dense, b))); };
  EXPECT_TRUE(allclose(grad(loss)(x), grad(wanted)(x), 1e-4, 1e-4).item<bool>());
}

TEST(Sparse, RefusesWhatIsNoMatrix) {
  sparse::Csr m{array({0, 1}, int64), array({5}, int64), array({1.f}), 1, 3};
  EXPECT_EQ(message_of([&] { sparse::matmul(m, zeros(Shape{3})).eval(); }),
            "[sparse_matmul] column 5 is outside 0 to 2.");
  EXPECT_EQ(message_of([&] { sparse::matmul(m, zeros(Shape{4})); }),
            "[sparse::matmul] m is 1 by 3 and x has shape (4,): inner sizes differ.");
  m.row_starts = array({0}, int64);
  EXPECT_EQ(message_of([&] { sparse::matmul(m, zeros(Shape{3})); }),
            "[sparse::matmul] row_starts has shape (1,); 1 rows need (2,).");
  sparse::Coo c{array({0, 1}, int64), array({0}, int64), array({1.f}), 2, 2};
  EXPECT_EQ(message_of([&] { sparse::to_csr(c); }),
            "[to_csr] rows (2,), columns (1,) and values (1,) must be lines of one length.");
}

}  // namespace
}  // namespace tarn
