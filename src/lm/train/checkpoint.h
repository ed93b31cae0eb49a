// What a run is resumed from: one file a checkpoint, whole or not there.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "tarn/lm/train.h"

namespace tarn::lm {

// Where a run is: everything that the rest of it depends on, besides model, data and options.
struct TrainState {
  NamedParameters parameters{};
  optim::State optimizer{};
  int64_t step = 0, epoch = 0, batch = 0;  // batch: of the epoch, the next one
  int64_t best_step = -1, evaluations_without_gain = 0;
  double best_loss = 0, valid_loss = 0, loss = 0;
  NamedParameters best{};  // the parameters of best_step
};

// A checkpoint's name, "step-00000120.safetensors".
std::filesystem::path checkpoint_file(const std::filesystem::path& folder, int64_t step);
// Writes one and removes all but the newest two. `course` describes what decides the numbers.
void save_checkpoint(const std::filesystem::path& folder, const TrainState& state,
                     const std::string& course);
// The newest one. Throws FileError for a damaged one and for another course; both are one line.
std::optional<TrainState> load_checkpoint(const std::filesystem::path& folder,
                                          const NamedParameters& like, const std::string& course);

}  // namespace tarn::lm
