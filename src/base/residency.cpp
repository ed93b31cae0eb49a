#include "base/residency.h"

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <vector>

namespace tarn {
namespace {

constexpr uint8_t bit(Side s) { return static_cast<uint8_t>(s); }

// The host's block gets a twin on the device, which holds nothing yet.
Residency& twin_of(Buffer& b, DeviceMemory& memory) {
  if (Residency* r = b.residency.load(std::memory_order_acquire)) return *r;
  auto fresh = std::make_unique<Residency>();
  fresh->memory = &memory;
  fresh->block = memory.allocate(b.bytes);
  fresh->valid = bit(Side::host);
  Residency* none = nullptr;
  if (b.residency.compare_exchange_strong(none, fresh.get(), std::memory_order_acq_rel))
    return *fresh.release();
  memory.release(fresh->block, b.bytes);  // another thread was faster
  return *none;
}

// What was copied at once.
struct Arrived final : Arrival {
  explicit Arrived(size_t n) : bytes(n) {}
  const void* wait() override { return bytes.data(); }
  std::vector<std::byte> bytes;
};

}  // namespace

std::unique_ptr<Arrival> DeviceMemory::send_to_host(const void* from, size_t bytes) {
  auto copy = std::make_unique<Arrived>(bytes);
  to_host(copy->bytes.data(), from, bytes);
  return copy;
}

Buffer* allocate_on(DeviceMemory& memory, size_t bytes) {
  auto b = std::make_unique<Buffer>();
  auto r = std::make_unique<Residency>();
  r->memory = &memory;
  r->block = memory.allocate(bytes);
  r->mirrored = true;
  r->valid = bit(Side::device);
  b->data = memory.mirror(r->block);
  b->bytes = bytes;
  b->residency = r.release();
  return b.release();
}

bool is_on(const Buffer& b, Side side) {
  const Residency* r = b.residency.load(std::memory_order_acquire);
  return r ? (r->valid.load(std::memory_order_acquire) & bit(side)) != 0 : side == Side::host;
}

std::byte* device_bytes_to_write(Buffer& b, DeviceMemory& memory) {
  return static_cast<std::byte*>(twin_of(b, memory).block);
}

std::byte* device_bytes(Buffer& b, DeviceMemory& memory) {
  Residency& r = twin_of(b, memory);
  if (!(r.valid.load(std::memory_order_acquire) & bit(Side::device))) {
    std::lock_guard lock(r.mutex);
    if (!(r.valid & bit(Side::device))) {
      if (b.bytes > 0) memory.to_device(r.block, b.data, b.bytes);
      count_transfer(Side::device, b.bytes);
      r.valid.fetch_or(bit(Side::device), std::memory_order_acq_rel);
    }
  }
  return static_cast<std::byte*>(r.block);
}

std::byte* host_bytes(Buffer& b) {
  Residency* r = b.residency.load(std::memory_order_acquire);
  if (r && !(r->valid.load(std::memory_order_acquire) & bit(Side::host))) {
    std::lock_guard lock(r->mutex);
    if (!(r->valid & bit(Side::host))) {
      r->touched = true;
      if (b.bytes > 0) r->memory->to_host(b.data, r->block, b.bytes);
      count_transfer(Side::host, b.bytes);
      r->valid.fetch_or(bit(Side::host), std::memory_order_acq_rel);
    }
  }
  return static_cast<std::byte*>(b.data);
}

void written_on(Buffer& b, Side side) {
  Residency* r = b.residency.load(std::memory_order_acquire);
  if (!r) return;
  if (side == Side::host) r->touched = true;
  r->valid.store(bit(side), std::memory_order_release);
}

bool release_residency(Buffer& b) noexcept {
  std::unique_ptr<Residency> r(b.residency.exchange(nullptr, std::memory_order_acq_rel));
  if (r->mirrored && r->touched) r->memory->forget_mirror(b.data, b.bytes);
  r->memory->release(r->block, b.bytes);
  return r->mirrored;
}

TransferCounters& transfer_counters() {
  static auto* const c = new TransferCounters;
  return *c;
}

void count_transfer(Side to, size_t bytes) {
  static const bool trace = [] {
    const char* value = std::getenv("TARN_TRACE_TRANSFERS");
    return value && *value && *value != '0';
  }();
  auto& c = transfer_counters();
  (to == Side::device ? c.to_device : c.to_host).fetch_add(bytes, std::memory_order_relaxed);
  c.copies.fetch_add(1, std::memory_order_relaxed);
  if (trace)
    std::fprintf(stderr, "[transfer] %zu bytes to the %s\n", bytes,
                 to == Side::device ? "device" : "host");
}

}  // namespace tarn
