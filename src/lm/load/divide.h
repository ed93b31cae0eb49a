// A checkpoint's part for one rank of a group.
#pragma once

#include "lm/load/load.h"
#include "tarn/distributed.h"

namespace tarn::lm {

// The config and the weights, by the model's names, of this rank's part of a dense decoder.
void divide(Checkpoint& checkpoint, const distributed::Group& group);

}  // namespace tarn::lm
