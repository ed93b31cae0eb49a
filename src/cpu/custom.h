#pragma once

#include "runtime/backend.h"

namespace tarn::cpu {

void add_custom(KernelTable& table);

}  // namespace tarn::cpu
