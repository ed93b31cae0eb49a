// How much memory a model takes, told without loading it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "tarn/lm/load.h"
#include "tarn/lm/parameters.h"

namespace tarn::lm {

struct PlanOptions {
  // Positions of each answer with its prompt, which is as long as it can be; 0: the model's
  // context, which is also the most.
  int64_t context = 0;
  int64_t batch = 1;  // answers at a time: 1 as by generate(), more as by an Engine
  GenerateParameters parameters{};
};

// In bytes. What is mapped is shared with all that use the files, and goes and comes as the system
// needs memory; the rest is this process's own.
struct MemoryPlan {
  std::string name{};  // of the model
  int64_t context = 0, batch = 1;
  uint64_t mapped = 0;       // files that are mapped while the model is there
  uint64_t mapped_used = 0;  // of them: weights that are used as they lie there
  uint64_t weights = 0;      // that had to be repacked, decoded or copied
  uint64_t tokenizer = 0;
  uint64_t cache = 0;      // keys and values when all positions are taken
  uint64_t workspace = 0;  // what computing takes besides, at its peak

  uint64_t own() const { return weights + tokenizer + cache + workspace; }
  // What has to be in memory for the model to run at full speed.
  uint64_t needed() const { return own() + mapped_used; }
};

// Of what load() takes. The tokenizer is loaded, the weights are not; answers are rehearsed
// (tarn::MemoryRehearsal). Throws as load() does for files that cannot be loaded, and ValueError
// for options outside their range.
MemoryPlan plan(const std::filesystem::path& path, const PlanOptions& options = {});

bool fits(const MemoryPlan& plan, const MemoryRoom& room);
// Throws DeviceError where a plan does not fit: what is needed, what there is, and what helps.
void require_room(const MemoryPlan& plan, const MemoryRoom& room, const std::string& path);

}  // namespace tarn::lm
