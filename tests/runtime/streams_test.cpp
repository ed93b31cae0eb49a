// Devices and streams: each thread's own, and what is remembered of them.
#include <gtest/gtest.h>

#include <atomic>
#include <csignal>
#include <cstring>
#include <thread>

#include "signals.h"
#include "tarn/tarn.h"
#include "transforms/words.h"

namespace tarn {
namespace {

constexpr Device cpu = Device::cpu;

TEST(Streams, AreNumbersInTheOrderOfTheirMaking) {
  clear_streams();
  EXPECT_EQ(get_streams().size(), 1u);
  Stream a = new_stream(cpu), b = new_thread_unsafe_stream(cpu);
  EXPECT_TRUE(a < b);
  auto all = get_streams();
  ASSERT_EQ(all.size(), 3u);
  EXPECT_EQ(all[0], default_stream(cpu));
  EXPECT_EQ(all[2], b);
  set_default_stream(b);
  EXPECT_EQ(to_stream({}), b);
  clear_streams();
  EXPECT_EQ(get_streams().size(), 1u);
  EXPECT_EQ(default_stream(cpu), get_streams()[0]);
  // Who kept one may go on using it.
  EXPECT_EQ(add(array(1.0f), array(2.0f), b).item<float>(), 3.0f);
}

TEST(Streams, OneNameIsAnotherStreamOnEachThread) {
  ThreadLocalStream name = new_thread_local_stream(cpu);
  Stream mine = stream_from_thread_local_stream(name), theirs{};
  std::thread([&] { theirs = stream_from_thread_local_stream(name); }).join();
  EXPECT_EQ(mine, stream_from_thread_local_stream(name));
  EXPECT_FALSE(mine == theirs);
  EXPECT_EQ(to_stream(name), mine);
  EXPECT_EQ(exp(array(0.0f), name).stream(), mine);
  async_eval(exp(array(0.0f), name));
  synchronize(name);
  synchronize(mine);
}

TEST(Streams, AContextLastsForItsScopeOnItsThread) {
  Stream before = default_stream(cpu), inside = new_stream(cpu);
  {
    StreamContext scope(inside);
    EXPECT_EQ(default_stream(cpu), inside);
    EXPECT_EQ(exp(array(1.0f)).stream(), inside);
    Stream elsewhere{};
    std::thread([&] { elsewhere = default_stream(cpu); }).join();
    EXPECT_EQ(elsewhere.index, 0);
    {
      StreamContext inner(cpu);
      EXPECT_EQ(default_device(), cpu);
    }
    EXPECT_EQ(default_stream(cpu), inside);
  }
  EXPECT_EQ(default_stream(cpu), before);
  EXPECT_EQ(what_is_thrown([] { StreamContext scope{StreamOrDevice{}}; }),
            "[StreamContext] a stream or a device is needed.");
}

TEST(Streams, AnAbsentDeviceIsRefused) {
  Device gpu(Device::gpu, 1);
  EXPECT_EQ(what_is_thrown([&] { new_stream(gpu); }),
            "[new_stream] there is no device gpu 1 here.");
  EXPECT_EQ(what_is_thrown([&] { device_info(gpu); }),
            "[device_info] there is no device gpu 1 here.");
  EXPECT_EQ(what_is_thrown([&] { to_stream({}, gpu); }),
            "[default_stream] there is no device gpu 1 here.");
  EXPECT_EQ(what_is_thrown([&] {
              set_default_stream({0, gpu});
            }),
            "[set_default_stream] there is no device gpu 1 here.");
  EXPECT_EQ(to_stream({}, cpu), default_stream(cpu));
}

TEST(Streams, AreMadeAndForgottenByManyThreads) {
  std::atomic<int> right{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < 50; ++i) {
        ThreadLocalStream name = new_thread_local_stream(cpu);
        StreamContext scope(name);
        array x = array(1.0f) + array(static_cast<float>(i));
        if (t == 0 && i % 10 == 0) clear_streams();
        if (t == 1) get_streams();
        right += x.item<float>() == static_cast<float>(i + 1);
      }
    });
  for (auto& t : threads) t.join();
  EXPECT_EQ(right, 200);
}

// A handler that an editor or a program installs runs on a thread of theirs.
TEST(LibraryThreads, TakeNoSignalsButThoseOfTheirFaults) {
  auto interrupt = tarn_test::threads_that_take(SIGINT);
  auto suspend = tarn_test::threads_that_take(SIGTSTP);
  array numbers = reshape(arange(0.0, 1048576.0, float32, cpu), {1024, 1024}, cpu);
  eval(matmul(numbers, numbers, cpu));
  async_eval(exp(numbers, cpu));
  synchronize(default_stream(cpu));
  EXPECT_EQ(tarn_test::threads_that_take(SIGINT), interrupt);
  EXPECT_EQ(tarn_test::threads_that_take(SIGTSTP), suspend);
  // There are some, of this test or of an earlier one.
  EXPECT_GT(tarn_test::threads_that_take(SIGBUS).size(), suspend.size());
}

TEST(Device, TellsAboutItself) {
  auto info = device_info();
  EXPECT_FALSE(std::get<std::string>(info.at("device_name")).empty());
  EXPECT_FALSE(std::get<std::string>(info.at("architecture")).empty());
  EXPECT_GT(std::get<size_t>(info.at("memory_size")), size_t{1} << 20);
  EXPECT_GE(std::get<size_t>(info.at("threads")), 1u);
  EXPECT_TRUE(Device(Device::cpu) < Device(Device::gpu));
  EXPECT_EQ(std::count(version(), version() + std::strlen(version()), '.'), 2);
  EXPECT_TRUE(is_main_thread());
  bool elsewhere = true;
  std::thread([&] { elsewhere = is_main_thread(); }).join();
  EXPECT_FALSE(elsewhere);
}

}  // namespace
}  // namespace tarn
