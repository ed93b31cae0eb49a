// Models that several processes compute together. docs/distributed.md.
#pragma once

#include <filesystem>

#include "tarn/distributed.h"
#include "tarn/lm/load.h"

namespace tarn::lm {

// This rank's part of a dense decoder: some heads of each layer, and some inner values of its
// MLP. The embedding, the norms and the head are whole on each rank. What two layers of a
// block give is summed, so every rank has the same logits, to the bit, and has to ask the model the
// same: the same prompts in the same order, and samples from the same seed. For a group of one it
// is `load`. Throws FileError where heads, inner values or groups of quantised weights cannot be
// divided, or the family's layers are not known to be divisible.
LanguageModel load_divided(const std::filesystem::path& path, const distributed::Group& group,
                           const LoadOptions& options = {});

}  // namespace tarn::lm
