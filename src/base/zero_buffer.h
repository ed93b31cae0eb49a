// Memory that stands for numbers nobody needs.
#pragma once

#include <cstddef>

#include "base/buffer.h"

namespace tarn {

// Address space that reads as zeros and takes no memory. It must not be written to.
// Throws DeviceError when there is no address space.
BufferRef zero_buffer(size_t bytes);

}  // namespace tarn
