// A client's options with everything filled in and checked.
#pragma once

#include "tarn/lm/hub.h"

namespace tarn::lm::hub {

// From the environment where `options` leave something open. Throws HubError.
HubOptions resolved(HubOptions options);

}  // namespace tarn::lm::hub
