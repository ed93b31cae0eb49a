// Communications at any number of ranks: this program runs alone, and under `tarn launch` as 2 to 4
// processes by sockets and by MPI (tests/CMakeLists.txt). Every rank knows what the others have, so
// each judges its own results.
#include <gtest/gtest.h>

#include <numeric>

#include "distributed/ranks.h"
#include "error_of.h"
#include "tarn/distributed.h"
#include "tarn/ops.h"
#include "tarn/transforms.h"

namespace tarn {
namespace {

using distributed::all_gather;
using distributed::all_max;
using distributed::all_min;
using distributed::all_sum;
using distributed::Group;
using distributed::sum_scatter;
using tarn_test::error_of;
using tarn_test::everyone;
using tarn_test::me;
using tarn_test::ranks;

const Dtype dtypes[] = {bool_, uint8, uint16,  uint32,  uint64,  int8,     int16,
                        int32, int64, float16, float32, float64, bfloat16, complex64};

// What rank r has: small whole numbers, which every dtype has and adds up without rounding.
array of_rank(int r, Shape shape, Dtype t) {
  int64_t n = std::accumulate(shape.begin(), shape.end(), int64_t{1}, std::multiplies<>());
  std::vector<float> v;
  for (int64_t i = 0; i < n; ++i) v.push_back(static_cast<float>((i * 5 + 3 * r) % 11));
  array x = astype(array(v.begin(), std::move(shape)), t);
  return t == complex64 ? x * array(complex64_t{1, -2}) : x;
}
std::vector<array> of_all(const Shape& shape, Dtype t) {
  std::vector<array> all;
  for (int r = 0; r < ranks(); ++r) all.push_back(of_rank(r, shape, t));
  return all;
}
template <class F>
array folded(const std::vector<array>& all, F f) {
  array result = all[0];
  for (size_t r = 1; r < all.size(); ++r) result = f(result, all[r]);
  return result;
}
array plus(const array& a, const array& b) { return astype(a + b, a.dtype()); }

void expect_same(const array& got, const array& wanted) {
  EXPECT_EQ(got.dtype(), wanted.dtype());
  ASSERT_EQ(got.shape(), wanted.shape());
  EXPECT_TRUE(array_equal(got, wanted).item<bool>());
}

// One number, none, a few, what every rank adds up, what ranks share, more than a block.
const Shape shapes[] = {{}, {0}, {5}, {3, 4}, {130, 101}, {1100, 1000}};

TEST(Communications, SumsAndExtremesOfEveryDtypeAndSize) {
  for (Dtype t : dtypes)
    for (const Shape& shape : shapes) {
      if (shape == Shape{1100, 1000} && t != float32 && t != bfloat16) continue;
      auto all = of_all(shape, t);
      const array& x = all[static_cast<size_t>(me())];
      expect_same(all_sum(x), folded(all, plus));
      if (t == complex64) continue;  // maximum() of complex numbers has another order
      expect_same(all_max(x), folded(all, [](auto& a, auto& b) { return maximum(a, b); }));
      expect_same(all_min(x), folded(all, [](auto& a, auto& b) { return minimum(a, b); }));
    }
}

TEST(Communications, GatherAndScatterOfEveryDtypeAndSize) {
  for (Dtype t : dtypes)
    for (const Shape& shape : shapes) {
      if (shape == Shape{1100, 1000} && t != float32) continue;
      auto all = of_all(shape, t);
      const array& x = all[static_cast<size_t>(me())];
      if (shape.empty()) {
        if (ranks() > 1) expect_same(all_gather(x), stack(all));
        continue;
      }
      expect_same(all_gather(x), concatenate(all, 0));
      Shape tall = shape;
      tall[0] *= ranks();
      auto talls = of_all(tall, t);
      array sum = folded(talls, plus);
      expect_same(sum_scatter(talls[static_cast<size_t>(me())]),
                  split(sum, ranks(), 0)[static_cast<size_t>(me())]);
    }
}

TEST(Communications, ReadArraysThatAreNotContiguous) {
  auto all = of_all({6, 4}, float32);
  const array& x = all[static_cast<size_t>(me())];
  array sum = folded(all, plus);
  expect_same(all_sum(transpose(x)), transpose(sum));
  expect_same(all_sum(slice(x, {1, 0}, {6, 4}, {2, 3})), slice(sum, {1, 0}, {6, 4}, {2, 3}));
  expect_same(all_sum(broadcast_to(slice(x, {2, 0}, {3, 4}), {5, 4})),
              broadcast_to(slice(sum, {2, 0}, {3, 4}), {5, 4}));
  std::vector<array> turned;
  for (const array& a : all) turned.push_back(transpose(a));
  expect_same(all_gather(transpose(x)), concatenate(turned, 0));
}

TEST(Communications, SumsAreRoundedOnceAndTheSameOnEveryRank) {
  // Rounded at each step the small numbers would be lost behind 256.
  array x = astype(full({300}, me() == 0 ? 256.0f : 0.75f), bfloat16);
  array exact = full({300}, 256.0f + 0.75f * static_cast<float>(ranks() - 1));
  expect_same(all_sum(x), astype(exact, bfloat16));
  array y = full({9000}, 1.0f) / static_cast<float>(me() + 3);
  array sum = all_sum(y);
  expect_same(all_max(sum), sum);
  expect_same(all_min(sum), sum);
}

TEST(Communications, ExtremesPassNan) {
  float nan = std::numeric_limits<float>::quiet_NaN();
  array x({me() == ranks() - 1 ? nan : 1.0f, static_cast<float>(me())});
  EXPECT_TRUE(isnan(all_max(x)).data<bool>()[0]);
  EXPECT_TRUE(isnan(all_min(x)).data<bool>()[0]);
  EXPECT_EQ(take(all_max(x), 1).item<float>(), static_cast<float>(ranks() - 1));
}

TEST(Communications, GoRoundARing) {
  if (ranks() == 1) GTEST_SKIP() << "for several ranks";
  int next = (me() + 1) % ranks(), last = (me() + ranks() - 1) % ranks();
  for (int64_t n : {1, 3000, 1 << 20}) {  // the last is more than sockets hold on the way
    array mine = of_rank(me(), {n}, int32);
    // All send first, and none waits for another to receive.
    array sent = distributed::send(mine, next);
    array got = distributed::recv_like(mine, last);
    eval({sent, got});
    expect_same(sent, mine);
    expect_same(got, of_rank(last, {n}, int32));
  }
}

TEST(Communications, EverySendIsSentAndEveryReceiveIsAnother) {
  if (ranks() == 1) GTEST_SKIP() << "for several ranks";
  constexpr int peer = 0;
  if (me() == 1) {
    array x(7.0f);
    eval({distributed::send(x, peer), distributed::send(x, peer), distributed::send(x + x, peer)});
  }
  if (me() == 0) {
    std::vector<array> got;
    for (int i = 0; i < 3; ++i) got.push_back(distributed::recv({}, float32, 1));
    eval(got);
    EXPECT_EQ(got[0].item<float>() + got[1].item<float>(), 14);
    EXPECT_EQ(got[2].item<float>(), 14);
  }
}

TEST(Communications, KeepTheOrderOfTheGraphAmongOtherSteps) {
  // Sums of different sizes: were two ranks to take them in another order, they would be told.
  std::vector<array> sums;
  array total(0.0f);
  for (int i = 1; i <= 40; ++i) {
    array x = full({i * 50}, static_cast<float>(me() + i));
    array s = all_sum(exp(-x) * array(0.0f) + x);
    total = total + sum(s) / static_cast<float>(i * 50);
    if (i % 3 == 0) total = total + all_max(array(static_cast<float>(me())));
  }
  float wanted = 0;
  for (int i = 1; i <= 40; ++i) {
    for (int r = 0; r < ranks(); ++r) wanted += static_cast<float>(r + i);
    if (i % 3 == 0) wanted += static_cast<float>(ranks() - 1);
  }
  EXPECT_NEAR(total.item<float>(), wanted, 1e-3 * wanted);
}

TEST(Communications, ComeAfterWhatAsyncEvalWasGiven) {
  for (int i = 0; i < 20; ++i) {
    array first = all_sum(full({100 + i}, 1.0f)), second = all_sum(full({7}, 1.0f));
    async_eval({first});
    EXPECT_EQ(sum(second).item<float>(), 7.0f * static_cast<float>(ranks()));
    EXPECT_EQ(sum(first).item<float>(), static_cast<float>((100 + i) * ranks()));
  }
  array last = all_sum(full({100}, 1.0f));
  async_eval({last});
  EXPECT_EQ(everyone().split(0).size(), ranks());
}

TEST(Communications, HaveDerivatives) {
  auto all = of_all({2 * ranks(), 3}, float32);
  const array& x = all[static_cast<size_t>(me())];
  array weight = of_rank(9, {2 * ranks(), 3}, float32);
  array one(1.0f), rank(static_cast<float>(me()));
  // A loss that all ranks share: what it says of this rank's x.
  expect_same(grad([&](const array& v) { return sum(all_sum(v) * weight); })(x), weight);
  array wide = of_rank(9, {2 * ranks() * ranks(), 3}, float32);
  expect_same(grad([&](const array& v) { return sum(all_gather(v) * wide); })(x),
              split(wide, ranks(), 0)[static_cast<size_t>(me())]);
  // sum_scatter gives ranks different parts; the loss is the sum of all of them.
  array part = split(weight, ranks(), 0)[static_cast<size_t>(me())];
  expect_same(grad([&](const array& v) { return sum(sum_scatter(v) * part); })(x), weight);
  // Who has the largest has its derivative; equals share it.
  expect_same(grad([&](const array& v) { return all_max(v) * array(6.0f); })(rank),
              array(me() == ranks() - 1 ? 6.0f : 0.0f));
  expect_same(grad([&](const array& v) { return all_min(v); })(one),
              one / static_cast<float>(ranks()));
  auto tangent = [&](auto f, const array& t) { return jvp(f, {x}, {t}).second[0]; };
  using Arrays = std::vector<array>;
  expect_same(tangent([](const Arrays& v) { return Arrays{all_sum(v[0])}; }, x), all_sum(x));
  expect_same(tangent([](const Arrays& v) { return Arrays{all_gather(v[0])}; }, x), all_gather(x));
  expect_same(tangent([](const Arrays& v) { return Arrays{sum_scatter(v[0])}; }, x),
              sum_scatter(x));
}

TEST(Communications, MapOverABatch) {
  array x = of_rank(me(), {5, 2 * ranks(), 3}, float32);
  for (auto f :
       {+[](const array& v) { return all_sum(v); }, +[](const array& v) { return all_gather(v); },
        +[](const array& v) { return sum_scatter(v); },
        +[](const array& v) { return all_max(v); }}) {
    std::vector<array> rows;
    for (int i = 0; i < 5; ++i) rows.push_back(f(take(x, i, 0)));
    expect_same(vmap(std::function<array(const array&)>(f), 0, 0)(x), stack(rows));
    expect_same(vmap(std::function<array(const array&)>(f), 1, 1)(swapaxes(x, 0, 1)),
                stack(rows, 1));
  }
  if (ranks() > 1)  // of numbers
    expect_same(vmap(std::function<array(const array&)>(
                    [](const array& v) { return all_gather(v); }))(array({1.0f, 2.0f})),
                broadcast_to(array({1.0f, 2.0f}, {2, 1}), {2, ranks()}));
}

TEST(Communications, RunInCompiledFunctions) {
  auto f = compile([](const std::vector<array>& v) {
    return std::vector<array>{all_sum(exp(v[0] * array(0.0f))) + all_max(v[0])};
  });
  for (int i = 0; i < 3; ++i) {
    array x(static_cast<float>(me() + i));
    EXPECT_EQ(f({x})[0].item<float>(), static_cast<float>(ranks() + ranks() - 1 + i));
  }
}

TEST(Communications, OfPartsOfAGroup) {
  Group half = everyone().split(me() % 2);
  EXPECT_EQ(half.size(), me() % 2 == 0 ? (ranks() + 1) / 2 : ranks() / 2);
  EXPECT_EQ(half.rank(), me() / 2);
  float wanted = 0;
  for (int r = me() % 2; r < ranks(); r += 2) wanted += static_cast<float>(r);
  EXPECT_EQ(all_sum(array(static_cast<float>(me())), half).item<float>(), wanted);
  Group backwards = everyone().split(0, ranks() - me());
  EXPECT_EQ(backwards.rank(), ranks() - 1 - me());
  array order = all_gather(array({me()}), backwards);
  for (int r = 0; r < ranks(); ++r) EXPECT_EQ(order.data<int>()[r], ranks() - 1 - r);
  Group quarter = half.split(me() / 2);
  EXPECT_EQ(quarter.size(), 1);
  EXPECT_EQ(all_sum(array(3.0f), quarter).item<float>(), 3);
}

TEST(Communications, GoOnWhenConnectedAgain) {
  distributed::clear_backends();
  array before = all_sum(array(1.0f), everyone());
  Group again = distributed::init();
  EXPECT_EQ(again.size(), ranks());
  EXPECT_EQ(again.rank(), me());
  EXPECT_EQ(all_sum(array(2.0f), again).item<float>(), 2 * static_cast<float>(ranks()));
  EXPECT_EQ(before.item<float>(), static_cast<float>(ranks()));
}

TEST(Communications, SayWhatIsWrong) {
  array x = full({2 * ranks() + 1, 2}, 1.0f);
  EXPECT_EQ(error_of([&] { distributed::init(false, "smoke"); }),
            "[init] the backend is \"smoke\"; it must be any, mpi, ring, nccl or jaccl.");
  EXPECT_EQ(error_of([&] { distributed::init(true, "jaccl"); }),
            "[init] the backend jaccl is not here; mpi and ring are.");
  EXPECT_EQ(error_of([&] { distributed::init(true, "mpi", {}); }),
            "[init] a factory is for the backend jaccl, not for mpi.");
  EXPECT_EQ(error_of([&] { everyone().split(-1); }),
            "[split] the colour is -1; it must not be negative.");
  EXPECT_EQ(error_of([&] { sum_scatter(array(1.0f)); }),
            fmt::format("[sum_scatter] x has shape () and the group {} ranks: axis 0 must be a "
                        "multiple of the ranks.",
                        ranks()));
  if (ranks() == 1) {
    EXPECT_EQ(error_of([&] { distributed::send(x, 0); }),
              "[send] the group has one rank; there is nobody else.");
    return;
  }
  EXPECT_EQ(error_of([&] { distributed::send(x, ranks()); }),
            fmt::format("[send] the other rank is {}; the group has ranks 0 to {}.", ranks(),
                        ranks() - 1));
  EXPECT_EQ(error_of([&] { distributed::recv_like(x, me()); }),
            fmt::format("[recv] rank {} is this process; another one is needed.", me()));
  EXPECT_EQ(error_of([&] { distributed::recv({-1}, float32, (me() + 1) % ranks()); }),
            "[recv] the shape is (-1,); no size may be negative.");
  EXPECT_EQ(error_of([&] { sum_scatter(x); }),
            fmt::format("[sum_scatter] x has shape ({}, 2) and the group {} ranks: axis 0 must be "
                        "a multiple of the ranks.",
                        2 * ranks() + 1, ranks()));
}

}  // namespace
}  // namespace tarn
