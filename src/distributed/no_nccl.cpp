// NCCL of a library without a backend for GPUs. With one it is src/cuda/nccl.cpp, and TARN_CUDA
// set.
#if !defined(TARN_CUDA)
#include "base/require.h"
#include "distributed/peers.h"

namespace tarn::distributed {

bool nccl_is_there() { return false; }
std::shared_ptr<Peers> connect_nccl(std::shared_ptr<Peers>) {
  fail<DeviceError>(
      "[init] nccl is for GPUs, and this library was built without a backend for them: configure "
      "it with -DTARN_CUDA=ON, or use the backend ring.");
}

}  // namespace tarn::distributed
#endif
