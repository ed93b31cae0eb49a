#include "cuda/arena.h"

#include <cuda.h>
#include <sys/mman.h>

#include <algorithm>

#include "base/require.h"
#include "cuda/cards.h"
#include "cuda/device.h"
#include "cuda/driver.h"
#include "cuda/sender.h"
#include "cuda/staging.h"

namespace tarn::cuda {
namespace {

constexpr size_t line = 512;               // blocks begin at multiples of it
constexpr size_t step = size_t{64} << 20;  // the arena grows by at least this
constexpr size_t host_page = 4096;

size_t rounded(size_t bytes, size_t to) { return (bytes + to - 1) / to * to; }
size_t block_bytes(size_t bytes) { return rounded(std::max<size_t>(bytes, 1), line); }

void check_driver(CUresult result, const char* doing) {
  require<DeviceError>(result == CUDA_SUCCESS, "[cuda] {} failed: error {}.", doing,
                       static_cast<int>(result));
}

CUmemAllocationProp on_card() {
  CUmemAllocationProp p{};
  p.type = CU_MEM_ALLOCATION_TYPE_PINNED;
  p.location = {CU_MEM_LOCATION_TYPE_DEVICE, {card()->index}};
  return p;
}

}  // namespace

Arena::Arena(size_t card_bytes) {
  auto prop = on_card();
  check_driver(driver<decltype(cuMemGetAllocationGranularity)>("cuMemGetAllocationGranularity")(
                   &page_, &prop, CU_MEM_ALLOC_GRANULARITY_MINIMUM),
               "asking for the size of a page");
  reserved_ = rounded(card_bytes, std::max(page_, step));
  CUdeviceptr base = 0;
  check_driver(
      driver<decltype(cuMemAddressReserve)>("cuMemAddressReserve")(&base, reserved_, 0, 0, 0),
      "reserving addresses");
  base_ = reinterpret_cast<std::byte*>(base);
  // CPU kernels may read a vector past the last block's end.
  void* mirror = mmap(nullptr, reserved_ + host_page, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  require<DeviceError>(mirror != MAP_FAILED,
                       "[cuda] the system has no {} bytes of addresses for copies on the host.",
                       reserved_);
  mirror_ = static_cast<std::byte*>(mirror);
}

void* Arena::allocate(size_t bytes) {
  use_card();  // what computes something allocates first
  size_t need = block_bytes(bytes);
  std::lock_guard lock(mutex_);
  check_memory_limit(need);
  auto it = free_by_size_.lower_bound({need, 0});
  if (it == free_by_size_.end()) {
    require<DeviceError>(grow(need),
                         "[memory] no memory on the device for {} bytes; {} of its {} are in use. "
                         "Use a smaller model, batch or context.",
                         bytes, mapped_, reserved_);
    it = free_by_size_.lower_bound({need, 0});
  }
  auto [size, at] = *it;
  take_free(at, size);
  if (size > need) add_free(at + need, size - need);
  count_allocation(need);
  return base_ + at;
}

void Arena::release(void* block, size_t bytes) noexcept {
  size_t at = static_cast<size_t>(static_cast<std::byte*>(block) - base_);
  size_t size = block_bytes(bytes);
  memory_counters().active.fetch_sub(size, std::memory_order_relaxed);
  std::lock_guard lock(mutex_);
  try {
    add_free(at, size);
  } catch (const std::bad_alloc&) {  // the host has no memory to remember it by: it is lost
  }
}

// Puts memory behind the next addresses, so that a free block of `bytes` ends there.
bool Arena::grow(size_t bytes) {
  auto last = free_.empty() ? free_.end() : std::prev(free_.end());
  size_t there = last != free_.end() && last->first + last->second == mapped_ ? last->second : 0;
  auto prop = on_card();
  auto* create = driver<decltype(cuMemCreate)>("cuMemCreate");
  auto* map = driver<decltype(cuMemMap)>("cuMemMap");
  auto* release = driver<decltype(cuMemRelease)>("cuMemRelease");
  auto* allow = driver<decltype(cuMemSetAccess)>("cuMemSetAccess");
  for (size_t most : {step, page_}) {
    size_t more = rounded(bytes - there, std::max(most, page_));
    if (mapped_ + more > reserved_) continue;
    CUmemGenericAllocationHandle piece{};
    if (create(&piece, more, &prop, 0) != CUDA_SUCCESS) continue;
    auto at = reinterpret_cast<CUdeviceptr>(base_ + mapped_);
    CUmemAccessDesc access{on_card().location, CU_MEM_ACCESS_FLAGS_PROT_READWRITE};
    bool mapped = map(at, more, 0, piece, 0) == CUDA_SUCCESS;
    release(piece);  // the mapping keeps it
    if (!mapped || allow(at, more, &access, 1) != CUDA_SUCCESS) continue;
    add_free(mapped_, more);
    mapped_ += more;
    return true;
  }
  return false;
}

void Arena::add_free(size_t at, size_t bytes) {
  auto next = free_.lower_bound(at);
  if (next != free_.end() && at + bytes == next->first) {
    bytes += next->second;
    take_free(next->first, next->second);
  }
  next = free_.lower_bound(at);
  if (next != free_.begin()) {
    auto before = std::prev(next);
    if (before->first + before->second == at) {
      at = before->first;
      bytes += before->second;
      take_free(before->first, before->second);
    }
  }
  free_.emplace(at, bytes);
  free_by_size_.emplace(bytes, at);
}
void Arena::take_free(size_t at, size_t bytes) {
  free_.erase(at);
  free_by_size_.erase({bytes, at});
}

void* Arena::mirror(void* block) const noexcept {
  return mirror_ + (static_cast<std::byte*>(block) - base_);
}
void Arena::forget_mirror(void* mirror, size_t bytes) noexcept {
  // Whole pages only: its neighbours' values may be behind the same ones.
  auto from = rounded(reinterpret_cast<uintptr_t>(mirror), host_page);
  auto to = (reinterpret_cast<uintptr_t>(mirror) + bytes) / host_page * host_page;
  if (to > from) madvise(reinterpret_cast<void*>(from), to - from, MADV_DONTNEED);
}

void Arena::to_device(void* to, const void* from, size_t bytes) {
  if (bytes >= Staging::least && Staging::get().send(to, from, bytes)) return;
  check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, queue()), "a copy to the device");
}
void Arena::to_host(void* to, const void* from, size_t bytes) {
  check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, queue()), "a copy to the host");
  check_queue(cudaStreamSynchronize(queue()));
}

std::unique_ptr<Arrival> Arena::send_to_host(const void* from, size_t bytes) {
  if (bytes > Sender::most) return DeviceMemory::send_to_host(from, bytes);
  return Sender::get().send(from, bytes);
}

Arena& arena() {
  static auto* const one = new Arena(card()->memory);  // arrays may outlive static objects
  return *one;
}

}  // namespace tarn::cuda
