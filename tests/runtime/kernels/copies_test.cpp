// Large copies to a device, which threads share: all bytes arrive, wherever they begin and end.
#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "runtime/second_memory.h"
#include "tarn/tarn.h"

namespace tarn {
namespace {

class Copies : public tarn_test::OnDevice {};

constexpr int64_t mebibyte = int64_t{1} << 20;

array random_bytes(int64_t n, uint64_t seed) {
  array x = random::bits({n}, 1, random::key(seed), Device::cpu);
  x.eval();
  return x;
}
// Computed on the device, of what has to be copied there first.
bool arrives(const array& x) {
  array there = add(x, array(1, uint8), Device::gpu), here = add(x, array(1, uint8), Device::cpu);
  eval(there, here);
  return array_equal(there, here, Device::cpu).item<bool>();
}

TEST_F(Copies, OfAnySizeArriveWhole) {
  for (int64_t n : {4 * mebibyte - 1, 4 * mebibyte, 4 * mebibyte + 1, 9 * mebibyte + 12345})
    EXPECT_TRUE(arrives(random_bytes(n, static_cast<uint64_t>(n)))) << n;
}

// The source may change as soon as a copy was given to the queue.
TEST_F(Copies, OfMemoryThatIsUsedAgainAreOfWhatWasThere) {
  StreamContext scope{Device::gpu};
  std::vector<array> results, wanted;
  for (uint64_t i = 0; i < 4; ++i) {
    array x = random_bytes(5 * mebibyte + static_cast<int64_t>(i), i);
    wanted.push_back(sum(astype(x, int64, Device::cpu), StreamOrDevice(Device::cpu)));
    wanted.back().eval();
    results.push_back(sum(astype(x, int64)));
    async_eval(results.back());
  }
  for (size_t i = 0; i < results.size(); ++i)
    EXPECT_EQ(results[i].item<int64_t>(), wanted[i].item<int64_t>());
}

TEST_F(Copies, OfSeveralThreadsArriveWhole) {
  std::vector<int> whole(4, 0);
  std::vector<std::thread> threads;
  for (size_t i = 0; i < whole.size(); ++i)
    threads.emplace_back([&, i] {
      whole[i] = arrives(random_bytes(5 * mebibyte + static_cast<int64_t>(i), 7 + i)) ? 1 : 0;
    });
  for (auto& t : threads) t.join();
  EXPECT_EQ(whole, std::vector<int>(4, 1));
}

}  // namespace
}  // namespace tarn
