// Plans recorded as graphs: Backend::record.
#pragma once

#include "runtime/backend.h"

namespace tarn::cuda {

std::unique_ptr<Recording> record(size_t count, const std::function<void(size_t)>& launch);

}  // namespace tarn::cuda
