// A device for tests of what arrays on two sides do: the card where there is one, else a stand-in
// whose kernels are the CPU's and whose memory is a second piece of the host's. Some ops have no
// kernel there, so that plans have steps on both sides.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <set>
#include <string_view>
#include <utility>

#include "base/require.h"
#include "base/residency.h"
#include "ops/all.h"
#include "ops/compound.h"
#include "ops/movement.h"
#include "runtime/backend.h"
#include "runtime/eval.h"
#include "tarn/device.h"
#include "tarn/tarn.h"

namespace tarn_test {

class SecondMemory final : public tarn::DeviceMemory {
 public:
  static constexpr size_t capacity = size_t{64} << 20;

  // A block is followed by its mirror, so that an address on the wrong side shows other numbers.
  void* allocate(size_t bytes) override {
    size_t room = room_for(bytes);
    tarn::require<tarn::DeviceError>(used_ + room <= capacity, "[memory] no memory on the device.");
    used_ += room;
    tarn::count_allocation(room);
    auto* block = static_cast<std::byte*>(std::aligned_alloc(64, 2 * room + 64));
    std::memset(block, 0xcd, 2 * room + 64);
    std::memcpy(block, &room, sizeof room);
    return block + 64;
  }
  void release(void* block, size_t bytes) noexcept override {
    used_ -= room_for(bytes);
    tarn::memory_counters().active -= room_for(bytes);
    std::free(static_cast<std::byte*>(block) - 64);
  }
  void* mirror(void* block) const noexcept override {
    size_t room = 0;
    std::memcpy(&room, static_cast<std::byte*>(block) - 64, sizeof room);
    return static_cast<std::byte*>(block) + room;
  }
  void forget_mirror(void*, size_t) noexcept override {}
  void to_device(void* to, const void* from, size_t bytes) override {
    std::memcpy(to, from, bytes);
  }
  void to_host(void* to, const void* from, size_t bytes) override { std::memcpy(to, from, bytes); }

 private:
  static size_t room_for(size_t bytes) { return (bytes + 2 * 64) / 64 * 64; }
  std::atomic<size_t> used_{0};
};

// Random numbers that are there already, and on the host.
inline tarn::array normal(tarn::Shape shape, uint64_t seed, tarn::Dtype dtype = tarn::float32) {
  tarn::StreamContext on_cpu{tarn::Device::cpu};
  tarn::array a = tarn::random::normal(std::move(shape), tarn::float32, tarn::random::key(seed));
  a = tarn::astype(a, dtype);
  a.eval();
  return a;
}

// What run-time parameters come to, and back.
inline int64_t number_of(const tarn::Step&, const tarn::ops::Rope::P& p) { return p.offset; }
inline int64_t number_of(const tarn::Step&, const tarn::ops::Attention::P& p) { return p.length; }
inline int64_t number_of(const tarn::Step& s, const tarn::ops::SliceUpdate::P& p) {
  int64_t at = 0;
  for (size_t i = 0; i < p.start.size(); ++i) at += s.out.strides[i] * p.start[i];
  return at;
}
inline void set(const tarn::Step&, tarn::ops::Rope::P& p, int64_t n) { p.offset = n; }
inline void set(const tarn::Step&, tarn::ops::Attention::P& p, int64_t n) { p.length = n; }
inline void set(const tarn::Step& s, tarn::ops::SliceUpdate::P& p, int64_t at) {
  for (size_t i = 0; i < p.start.size(); ++i)
    if (int64_t stride = s.out.strides[i]; stride > 0) p.start[i] = at / stride, at %= stride;
}
// As a card's kernels do, one of the stand-in reads in its memory what changes from run to run.
template <class Op>
void read_number(const tarn::Op& op, tarn::Kernel& k) {
  using P = typename Op::P;
  if (&op != &tarn::ops::op_of<Op>) return;
  k.number = [](const tarn::Step& s) { return number_of(s, s.params->as<P>()); };
  k.run = [](const tarn::Step& s, int worker, int workers) {
    P p = s.params->as<P>();
    set(s, p, *s.number);
    tarn::Params params(p);
    tarn::Step now = s;
    now.params = &params;
    tarn::cpu_backend().table.find(now)->run(now, worker, workers);
  };
}
inline tarn::Kernel as_a_cards(const tarn::Op& op, tarn::Kernel k) {
  read_number<tarn::ops::Rope>(op, k);
  read_number<tarn::ops::Attention>(op, k);
  read_number<tarn::ops::SliceUpdate>(op, k);
  return k;
}

inline const tarn::Backend* new_stand_in(const std::set<std::string_view>& missing) {
  auto* b = new tarn::Backend(tarn::cpu_backend());
  b->table = {};
  for (const tarn::Op* op : tarn::ops::all())
    for (const auto& row : tarn::cpu_backend().table.rows(*op))
      if (!missing.contains(op->name)) b->table.add(*op, as_a_cards(*op, row));
  b->memory = new SecondMemory;
  b->computes_again = true;
  b->check = [] {};
  b->info = [] {
    return std::unordered_map<std::string, std::variant<std::string, size_t>>{
        {"device_name", std::string("a stand-in")}, {"memory_size", SecondMemory::capacity}};
  };
  return b;
}
inline const tarn::Backend& stand_in() {
  static const auto* const one =
      new_stand_in({"sort", "argsort", "cumsum", "gather", "solve", "random_bits"});
  return *one;
}
// One that does all of a language model's step.
inline const tarn::Backend& whole_stand_in() {
  static const auto* const one = new_stand_in({});
  return *one;
}

class OnDevice : public testing::Test {
 protected:
  void SetUp() override {
    if (tarn::is_available(tarn::Device::gpu)) return;
    if (std::getenv("TARN_NEEDS_CARD")) FAIL() << "there is no card here";
    tarn::stand_in_for_gpu(&stand_in());
  }
  void TearDown() override {
    tarn::stand_in_for_gpu(nullptr);
    tarn::clear_plan_cache();
  }
  static bool is_card() { return tarn::gpu_backend() != &stand_in(); }
};

}  // namespace tarn_test
