// Derivatives of recorded graphs, and what transforms share.
#pragma once

#include "transforms/trace.h"

namespace tarn {

// Cotangents of `arguments` from those of `outputs`; nothing where an argument has no influence.
std::vector<Maybe> pull_back(const Arrays& outputs, const Arrays& arguments,
                             const std::vector<Maybe>& cotangents);
// Tangents of `outputs` from those of `arguments`.
std::vector<Maybe> push_forward(const Arrays& outputs, const Arrays& arguments,
                                const std::vector<Maybe>& tangents);

// Handles of their own for the arguments of a traced function, so that its history ends there.
Arrays fresh_arguments(const Arrays& arguments);

}  // namespace tarn
