#include "base/zero_buffer.h"

#include <sys/mman.h>

#include "base/require.h"
#include "base/size_class.h"

namespace tarn {

BufferRef zero_buffer(size_t bytes) {
  size_t room = bytes + block_slack;
  void* p = ::mmap(nullptr, room, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  require<DeviceError>(p != MAP_FAILED, "[memory] no address space for {} bytes.", room);
  return BufferRef(adopt_buffer(p, bytes, [room](void* at) { ::munmap(at, room); }));
}

}  // namespace tarn
