// What a kernel found wrong in its data.
#pragma once

#include <cstdint>

namespace tarn::cuda {

// The first thread to meet an index outside its axis writes it down.
struct Fault {
  int64_t index = 0, size = 0;
  int axis = 0;
  int met = 0;
};

}  // namespace tarn::cuda
