#include "lm/hub/blob_lock.h"

#include "lm/hub/layout.h"

namespace tarn::lm::hub {

bool BlobLock::try_to_take() {
  return lock_.try_to_take(
      [this](const char* what, int error) { fail_on_disk(lock_.file(), what, error); });
}

}  // namespace tarn::lm::hub
