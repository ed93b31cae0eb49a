// The ranks that a test program runs as.
#pragma once

#include "tarn/distributed.h"

namespace tarn_test {

inline const tarn::distributed::Group& everyone() {
  static const tarn::distributed::Group group = tarn::distributed::init();
  return group;
}
inline int ranks() { return everyone().size(); }
inline int me() { return everyone().rank(); }

}  // namespace tarn_test
