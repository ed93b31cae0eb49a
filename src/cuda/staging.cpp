#include "cuda/staging.h"

#include <algorithm>
#include <atomic>
#include <cstring>

#include "base/thread_pool.h"
#include "cuda/device.h"

namespace tarn::cuda {
namespace {

// More than sixteen fill no bus faster, and each has two pieces of pinned memory.
int filling_threads() { return std::min(thread_count(), 16); }

}  // namespace

// One copy, of which each thread takes pieces until there are none.
struct Staging::Sending {
  std::vector<Piece>& pieces;
  std::byte* to;
  const std::byte* from;
  size_t bytes;
  cudaStream_t queue;
  std::atomic<size_t> next{0};  // piece of the source
  std::atomic<cudaError_t> failed{cudaSuccess};

  // Pieces end where a source address is a multiple of their size: pages of a mapped file that two
  // threads touch first would make them wait for each other.
  size_t end_of(size_t piece) const {
    size_t first = room - reinterpret_cast<uintptr_t>(from) % room;
    return std::min(first + piece * room, bytes);
  }
  cudaError_t send(Piece& p, size_t begin, size_t size) const {
    if (cudaError_t e = cudaEventSynchronize(p.sent); e != cudaSuccess) return e;
    std::memcpy(p.bytes, from + begin, size);
    cudaError_t e = cudaMemcpyAsync(to + begin, p.bytes, size, cudaMemcpyHostToDevice, queue);
    return e == cudaSuccess ? cudaEventRecord(p.sent, queue) : e;
  }
  void take_pieces(size_t worker) {
    for (size_t turn = 0;; turn ^= 1) {
      size_t piece = next.fetch_add(1), begin = piece == 0 ? 0 : end_of(piece - 1);
      if (begin >= bytes || failed != cudaSuccess) return;
      cudaError_t e = send(pieces[2 * worker + turn], begin, end_of(piece) - begin);
      if (e != cudaSuccess) failed = e;
    }
  }
};

Staging& Staging::get() {
  static auto* const one = new Staging;  // threads may evaluate while the program ends
  return *one;
}

bool Staging::make_ready() {
  if (std::exchange(asked_, true)) return !pieces_.empty();
  size_t count = 2 * static_cast<size_t>(filling_threads());
  void* all = nullptr;
  if (cudaHostAlloc(&all, count * room, cudaHostAllocPortable) != cudaSuccess) {
    cudaGetLastError();  // else the next launch would be taken for it
    return false;
  }
  for (size_t i = 0; i < count; ++i) {
    Piece p{static_cast<std::byte*>(all) + i * room, nullptr};
    check(cudaEventCreateWithFlags(&p.sent, cudaEventDisableTiming), "cudaEventCreate");
    pieces_.push_back(p);
  }
  return true;
}

bool Staging::send(void* to, const void* from, size_t bytes) {
  std::lock_guard lock(mutex_);
  use_card();
  if (!make_ready()) return false;
  Sending s{pieces_, static_cast<std::byte*>(to), static_cast<const std::byte*>(from), bytes,
            queue()};
  run_region(
      filling_threads(),
      [](void* context, int worker, int) {
        cudaSetDevice(card()->index);  // the pool's threads have none
        static_cast<Sending*>(context)->take_pieces(static_cast<size_t>(worker));
      },
      &s);
  check(s.failed, "a copy to the device");
  return true;
}

}  // namespace tarn::cuda
