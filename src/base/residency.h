// Where a buffer's bytes are: on the host, on a device, or the same on both.
//
// A buffer knows one device beside the host. Whoever reads it on one side asks for the address
// there, and what is missing is copied first; both copies then hold until somebody writes.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>

#include "base/buffer.h"

namespace tarn {

// Bytes on their way to the host.
class Arrival {
 public:
  virtual ~Arrival() = default;
  // The bytes, which last as long as this does.
  virtual const void* wait() = 0;
};

// The memory of a device, and its queue: copies and kernels follow each other in the order in which
// they were given, so a block may be released while work that reads it is still queued.
class DeviceMemory {
 public:
  virtual ~DeviceMemory() = default;
  // Throws DeviceError when there is no more.
  virtual void* allocate(size_t bytes) = 0;
  virtual void release(void* block, size_t bytes) noexcept = 0;
  // Host addresses that belong to the block. Nothing lies behind them until they are written to.
  virtual void* mirror(void* block) const noexcept = 0;
  // Gives back what was written behind a mirror.
  virtual void forget_mirror(void* mirror, size_t bytes) noexcept = 0;
  // The host's bytes may change as soon as it returns.
  virtual void to_device(void* to, const void* from, size_t bytes) = 0;
  // Waits for the queue and for the copy.
  virtual void to_host(void* to, const void* from, size_t bytes) = 0;
  // A few bytes as they are behind what is in the queue now. Waiting for them does not wait for
  // what is put there later.
  virtual std::unique_ptr<Arrival> send_to_host(const void* from, size_t bytes);
};

enum class Side : uint8_t { host = 1, device = 2 };

struct Residency {
  DeviceMemory* memory = nullptr;
  void* block = nullptr;             // on the device
  bool mirrored = false;             // the buffer's own address is the mirror of `block`
  std::atomic<bool> touched{false};  // something was written behind the mirror
  std::atomic<uint8_t> valid{0};     // sides
  std::mutex mutex{};                // of a copy from one side to the other
};

// A block of the device whose host address is its mirror. Uninitialised; counted like any other.
Buffer* allocate_on(DeviceMemory& memory, size_t bytes);
// Whether the buffer holds its values on that side.
bool is_on(const Buffer& b, Side side);
// The buffer's first byte on the device or the host, with its values there.
std::byte* device_bytes(Buffer& b, DeviceMemory& memory);
std::byte* host_bytes(Buffer& b);
// The same for who is about to write all of it: the values are not copied.
std::byte* device_bytes_to_write(Buffer& b, DeviceMemory& memory);
// The values are now those of `side`. For a buffer that nobody else reads at the moment.
void written_on(Buffer& b, Side side);
// Whether the buffer's own address went with it.
bool release_residency(Buffer& b) noexcept;

// What was copied between sides since the start of the process.
struct TransferCounters {
  std::atomic<uint64_t> to_device{0}, to_host{0}, copies{0};
};
TransferCounters& transfer_counters();
// Counts a copy, and prints it when TARN_TRACE_TRANSFERS is set.
void count_transfer(Side to, size_t bytes);

}  // namespace tarn
