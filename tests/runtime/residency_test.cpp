// One memory, on the card or on a stand-in: an array has no place, copies are made once and
// counted, and a write ends them.
#include <thread>

#include "error_of.h"
#include "runtime/second_memory.h"
#include "tarn/info.h"
#include "tarn/tarn.h"
#include "transforms/words.h"

namespace tarn {
namespace {

using tarn_test::error_of;

class OneMemory : public tarn_test::OnDevice {
 protected:
  // What was copied since the test began or last asked.
  TransferInfo copied() {
    TransferInfo now = get_transfers();
    TransferInfo since{now.bytes_to_device - before_.bytes_to_device,
                       now.bytes_to_host - before_.bytes_to_host, now.copies - before_.copies};
    before_ = now;
    return since;
  }

 private:
  TransferInfo before_ = get_transfers();
};

array numbers(int64_t n) {
  array a = arange(0.0, double(n), float32, Device::cpu);
  a.eval();
  return a;
}

TEST_F(OneMemory, AnInputIsCopiedOnceAndAResultWhenItIsRead) {
  array a = numbers(1000);
  EXPECT_TRUE(a.residency().host);
  EXPECT_FALSE(a.residency().device);
  copied();
  array b = add(a, a, Device::gpu);
  b.eval();
  TransferInfo t = copied();
  EXPECT_EQ(t.bytes_to_device, 4000u);
  EXPECT_EQ(t.bytes_to_host, 0u);
  EXPECT_TRUE(a.residency().host && a.residency().device);
  EXPECT_FALSE(b.residency().host);
  array c = multiply(a, b, Device::gpu);
  c.eval();
  EXPECT_EQ(copied().copies, 0u);
  const array& read = c;
  EXPECT_EQ(read.data<float>()[10], 200.0f);
  EXPECT_EQ(copied().bytes_to_host, 4000u);
  EXPECT_TRUE(c.residency().host && c.residency().device);
  EXPECT_EQ(read.data<float>()[999], 999.0f * 1998.0f);
  EXPECT_EQ(copied().copies, 0u);
}

TEST_F(OneMemory, AnyOpReadsAnyArray) {
  array a = numbers(64);
  array b = exp(negative(a, Device::gpu), Device::gpu);
  array c = add(b, a, Device::cpu);  // an op of each side in one evaluation
  array d = sum(multiply(c, c, Device::gpu), Device::cpu);
  double want = 0;
  for (int i = 0; i < 64; ++i) want += (std::exp(-i) + i) * (std::exp(-i) + i);
  EXPECT_NEAR(d.item<float>(), want, 1e-6 * want);
}

TEST_F(OneMemory, AWriteOnOneSideEndsTheOthersCopy) {
  array a = numbers(16);
  prefetch({a}, Device::gpu);
  EXPECT_TRUE(a.residency().device);
  a.data<float>()[3] = 50;
  EXPECT_FALSE(a.residency().device);
  EXPECT_EQ(sum(a, Device::gpu).item<float>(), 120.0f - 3 + 50);
}

TEST_F(OneMemory, UpdatesAreMadeInPlaceOnTheSideThatRunsThem) {
  array a = numbers(8);
  for (Device d : {Device(Device::gpu), Device(Device::cpu), Device(Device::gpu)}) {
    a = slice_update(a, add(slice(a, {2}, {4}, d), array(1.0f), d), {2}, {4}, d);
    a.eval();
    EXPECT_EQ(a.residency().device, d == Device::gpu);
    EXPECT_EQ(a.residency().host, d == Device::cpu);
  }
  EXPECT_EQ(text(a), "array([0, 1, 5, 6, 4, 5, 6, 7], dtype=float32)");
}

TEST_F(OneMemory, AViewIsCopiedWithWhatItIsAViewOf) {
  array a = reshape(numbers(24), {4, 6});
  array whole = add(a, a, Device::gpu), row = slice(whole, {2, 1}, {3, 6}, {1, 2});
  eval(whole, row);
  copied();
  EXPECT_EQ(sum(row, Device::cpu).item<float>(), 2 * (13 + 15 + 17));
  EXPECT_EQ(copied().copies, 1u);
  EXPECT_TRUE(whole.residency().host);
}

TEST_F(OneMemory, PrefetchBringsBothWays) {
  array a = numbers(256);
  array b = add(a, a, Device::gpu);
  prefetch({b}, Device::cpu);
  EXPECT_TRUE(b.residency().host && b.residency().device);
  copied();
  EXPECT_EQ(std::as_const(b).data<float>()[255], 510.0f);
  EXPECT_EQ(copied().copies, 0u);
}

TEST_F(OneMemory, IsGivenBackAndCounted) {
  size_t before = get_active_memory();
  {
    array a = add(zeros({1 << 20}, float32, Device::gpu), array(1.0f), Device::gpu);
    a.eval();
    EXPECT_GE(get_active_memory(), before + (4u << 20));
  }
  EXPECT_LT(get_active_memory(), before + (1u << 20));
}

TEST_F(OneMemory, WithoutRoomAnEvaluationThrowsAndTheProgramGoesOn) {
  array a = numbers(100);
  size_t card = std::get<size_t>(device_info(Device::gpu).at("memory_size"));
  auto rows = static_cast<int64_t>(card / 400);
  array big = add(broadcast_to(a, {rows, 100}), array(1.0f), Device::gpu);
  EXPECT_THROW(contiguous(big, false, Device::gpu).eval(), DeviceError);
  EXPECT_EQ(sum(a, Device::gpu).item<float>(), 4950.0f);
  EXPECT_THROW(big.eval(), DeviceError);
}

TEST_F(OneMemory, AnIndexOutsideItsAxisIsThrownByTheEvaluation) {
  array a = numbers(10), index(7);
  EXPECT_EQ(take(a, index, 0, Device::gpu).item<float>(), 7.0f);
  auto far = [&] { take(a, array(10), 0, Device::gpu).eval(); };
  EXPECT_EQ(error_of<IndexError>(far), "[gather] index 10 is outside axis 0, which has size 10.");
  EXPECT_EQ(take(a, index, 0, Device::gpu).item<float>(), 7.0f);
}

TEST_F(OneMemory, MayBeUsedByThreads) {
  array a = numbers(4096);
  std::vector<std::thread> threads;
  std::vector<float> sums(4);
  for (size_t i = 0; i < sums.size(); ++i)
    threads.emplace_back([&, i] {
      array total = array(0.0f);
      for (int k = 0; k < 50; ++k) {
        Device d = k % 3 == 0 ? Device::cpu : Device::gpu;
        total = add(total, sum(multiply(a, array(float(i)), d), d), d);
        if (k % 7 == 0) total.eval();
      }
      sums[i] = total.item<float>();
    });
  for (auto& t : threads) t.join();
  for (size_t i = 0; i < sums.size(); ++i)
    EXPECT_FLOAT_EQ(sums[i], float(i) * 50 * 4096.0f * 4095 / 2);
}

// Long sums for few results, which a card may make in pieces that lie in memory all products use.
// They are of whole numbers: exact in any order.
TEST_F(OneMemory, ProductsOfThreadsDoNotMix) {
  auto whole = [](const Shape& shape, uint64_t seed) {
    array x = random::randint(-3, 4, shape, int32, random::key(seed), Device::cpu);
    return astype(x, float32, Device::cpu);
  };
  std::vector<array> a, b, want;
  for (uint64_t i = 0; i < 3; ++i) {
    a.push_back(whole({4, 4096}, i)), b.push_back(whole({4096, 64}, 100 + i));
    want.push_back(matmul(a[i], b[i], Device::cpu));
  }
  eval(want);
  std::vector<int> wrong(want.size());
  std::vector<std::thread> threads;
  for (size_t i = 0; i < wrong.size(); ++i)
    threads.emplace_back([&, i] {
      for (int turn = 0; turn < 50; ++turn) {
        std::vector<array> got;
        for (int k = 0; k < 16; ++k)
          got.push_back(matmul(a[i], b[i], Device::gpu)), got.back().eval();
        for (const array& y : got) wrong[i] += !array_equal(y, want[i], Device::cpu).item<bool>();
      }
    });
  for (auto& t : threads) t.join();
  EXPECT_EQ(wrong, std::vector<int>(3));
}

// Steps that nothing can fuse, which a card may get as one recording from the third run on: with
// other numbers, other parameters, and memory at other places.
TEST_F(OneMemory, WhatRunsAgainGivesWhatItsInputsSay) {
  auto answer = [](const array& x, int turn, Device d) {
    StreamContext scope{d};
    array y = fast::rope(reshape(x, {1, 1, 4, 64}), 64, false, 10000.0f, 1.0f, turn);
    y = softmax(y * array(0.5f + float(turn / 4)), -1);
    for (int i = 0; i < 6; ++i) y = fast::rms_norm(exp(y), std::nullopt, 1e-5f);
    return slice_update(zeros({1, 1, 16, 64}), y, {0, 0, turn % 12, 0}, {1, 1, turn % 12 + 4, 64});
  };
  std::vector<array> kept;
  for (int turn = 0; turn < 24; ++turn) {
    array x = multiply(numbers(256), array(0.01f * float(turn + 1)), Device::cpu);
    array got = answer(x, turn < 6 ? 3 : turn, Device::gpu),
          want = answer(x, turn < 6 ? 3 : turn, Device::cpu);
    eval({got, want});
    EXPECT_TRUE(allclose(got, want, 1e-4, 1e-5, false, Device::cpu).item<bool>()) << turn;
    if (turn % 5 == 0) kept.push_back(got);  // so that memory is elsewhere the next time
  }
}

TEST_F(OneMemory, TheDefaultDeviceMayBeTheCard) {
  Device before = default_device();
  set_default_device(Device::gpu);
  array a = exp(zeros({3}));
  a.eval();
  EXPECT_EQ(a.stream().device, Device::gpu);
  EXPECT_TRUE(a.residency().device);
  set_default_device(before);
  EXPECT_EQ(exp(a).stream().device, Device::cpu);
}

TEST_F(OneMemory, ExplainSaysWhereAStepRuns) {
  array a = reshape(numbers(16), {4, 4});
  array b = linalg::solve(add(a, array(1.0f), Device::gpu), a, Device::gpu);
  std::string plan = explain(b);
  EXPECT_NE(plan.find("(4, 4) -> slab, on the device, stored for solve"), std::string::npos)
      << plan;
  EXPECT_NE(plan.find("(4, 4) -> output, on the CPU"), std::string::npos) << plan;
}

}  // namespace
}  // namespace tarn
