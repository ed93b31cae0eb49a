// Communications of arrays on GPUs: under `tarn launch --backend nccl` between them, by NCCL, else
// through the host, on the stand-in where there is no GPU.
#include <gtest/gtest.h>

#include <cstdlib>

#include "distributed/ranks.h"
#include "runtime/second_memory.h"
#include "tarn/fast.h"
#include "tarn/memory.h"
#include "tarn/ops.h"
#include "tarn/transforms.h"

namespace tarn_test {
namespace {

using tarn::array;
using tarn::Device;
using tarn::float32;
namespace distributed = tarn::distributed;

class Cards : public OnDevice {
 protected:
  void SetUp() override {
    OnDevice::SetUp();
    if (!std::getenv("TARN_NEEDS_CARD") || ranks() == 1) return;
    EXPECT_TRUE(everyone().has_cards());
  }
  // What rank r has.
  static array of_rank(int r, int64_t n) {
    return tarn::sin(tarn::arange(0.0, static_cast<double>(n), float32, Device::cpu) +
                         array(static_cast<float>(r)),
                     Device::cpu);
  }
  static array sum_of_all(int64_t n) {
    array sum = tarn::zeros({n}, tarn::float64, Device::cpu);
    for (int r = 0; r < ranks(); ++r) sum = tarn::add(sum, of_rank(r, n), Device::cpu);
    return tarn::astype(sum, float32, Device::cpu);
  }
  static bool equal(const array& a, const array& b) {
    return tarn::array_equal(a, b, false, Device::cpu).item<bool>();
  }
};

// More than everybody adds up alone, and no multiple of the ranks.
TEST_F(Cards, SumAndGatherWhatTheHostDoes) {
  for (int64_t n : {1, 1000, 300007}) {
    array x = of_rank(me(), n);
    EXPECT_TRUE(equal(distributed::all_sum(x, everyone(), Device::gpu), sum_of_all(n))) << n;
    for (auto f : {distributed::all_max, distributed::all_min, distributed::all_gather})
      EXPECT_TRUE(equal(f(x, everyone(), Device::gpu), f(x, everyone(), Device::cpu))) << n;
  }
}

// Words of one turn must not be taken for those of another.
TEST_F(Cards, SumFewNumbersAgainAndAgain) {
  tarn::StreamContext on_device(Device::gpu);
  constexpr int64_t sizes[] = {1, 16384, 300, 5, 16000, 257, 4096};
  for (int round = 0; round < 10; ++round) {
    std::vector<array> sums;
    for (int i = 0; i < 70; ++i) {
      int64_t n = sizes[i % 7];
      sums.push_back(distributed::all_sum(tarn::full({n}, static_cast<float>(i + me()))));
    }
    tarn::eval(sums);
    for (int i = 0; i < 70; ++i) {
      auto sum = static_cast<float>(i * ranks() + ranks() * (ranks() - 1) / 2);
      EXPECT_TRUE(equal(sums[static_cast<size_t>(i)], tarn::full({sizes[i % 7]}, sum))) << i;
    }
  }
}

TEST_F(Cards, ExchangeWithoutTheHost) {
  if (!everyone().has_cards()) GTEST_SKIP() << "for ranks whose GPUs NCCL connects";
  tarn::StreamContext on_card(Device::gpu);
  array x = of_rank(me(), 5000);
  tarn::eval(distributed::all_sum(x));  // x is there now
  uint64_t before = tarn::get_transfers().bytes_to_host;
  tarn::eval(distributed::all_sum(x), distributed::all_max(x), distributed::all_gather(x),
             distributed::sum_scatter(tarn::tile(x, {ranks()})));
  EXPECT_EQ(tarn::get_transfers().bytes_to_host, before);
}

// From the third run on a card gets the steps as one recording, of which it then replaces some.
TEST_F(Cards, GoOnInRecordedPlans) {
  tarn::StreamContext on_device(Device::gpu);
  constexpr int64_t n = 640;
  array weight = tarn::full({n}, 0.5f), table = tarn::zeros({8, n});
  auto layers = [&](array x) {
    for (int i = 0; i < 6; ++i) {
      x = tarn::fast::rms_norm(x, weight, 1e-5f);
      x = x + distributed::all_sum(x * array(static_cast<float>(me() + 1)));
    }
    return x;
  };
  for (int run = 0; run < 8; ++run) {
    array x = tarn::reshape(of_rank(run, n), {1, n});
    array got = layers(x), kept = tarn::slice_update(table, got, {run, 0}, {run + 1, n});
    tarn::eval(got, kept);
    table = kept;
    array want = x;
    float all = static_cast<float>(ranks() * (ranks() + 1)) / 2;
    for (int i = 0; i < 6; ++i) {
      want = tarn::fast::rms_norm(want, weight, 1e-5f, Device::cpu);
      want = tarn::multiply(want, array(1 + all), Device::cpu);
    }
    EXPECT_LT(tarn::max(tarn::abs(got - want)).item<float>(), 1e-4f) << run;
    EXPECT_TRUE(equal(tarn::slice(kept, {run, 0}, {run + 1, n}), got)) << run;
    EXPECT_TRUE(equal(distributed::all_max(got, everyone(), Device::cpu), got)) << run;
  }
}

// Plans are kept for arrays of these sizes, whatever group is meant.
TEST_F(Cards, OfGroupsThatTakeTurns) {
  tarn::StreamContext on_device(Device::gpu);
  distributed::Group backwards = everyone().split(0, ranks() - me());
  for (int run = 0; run < 4; ++run)
    for (const auto& group : {everyone(), backwards}) {
      array x = tarn::full({3}, static_cast<float>(group.rank() + run));
      EXPECT_TRUE(equal(distributed::all_gather(x, group), [&] {
        std::vector<float> all;
        for (int r = 0; r < ranks(); ++r) all.insert(all.end(), 3, static_cast<float>(r + run));
        return array(all.begin(), {3 * ranks()}, float32);
      }()));
    }
}

}  // namespace
}  // namespace tarn_test
