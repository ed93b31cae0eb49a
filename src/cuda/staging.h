// Large copies to the card from memory that the system may page, as weights of a mapped file.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <mutex>
#include <vector>

namespace tarn::cuda {

// The bus reads memory that is pinned only: each thread fills one piece of it while its other one
// is on its way. (The driver has one thread for it, which gets a tenth of the bus's rate out of a
// file that was just mapped.)
class Staging {
 public:
  static constexpr size_t least = size_t{4} << 20;  // bytes; what is smaller goes by the driver
  static Staging& get();
  // False, and nothing is done, when the system has no memory to pin.
  bool send(void* to, const void* from, size_t bytes);

 private:
  static constexpr size_t room = size_t{1} << 20;
  struct Piece {
    std::byte* bytes = nullptr;
    cudaEvent_t sent = nullptr;
  };
  struct Sending;
  bool make_ready();

  std::mutex mutex_{};
  std::vector<Piece> pieces_{};  // two a thread
  bool asked_ = false;
};

}  // namespace tarn::cuda
