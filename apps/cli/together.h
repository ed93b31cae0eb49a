// A verb that runs as several processes: what they have to agree on.
#pragma once

#include <cstdint>
#include <string>

#include "adapter_options.h"
#include "tarn/distributed.h"

namespace tarn::cli {

// Throws UsageError for adapters on a model that ranks divide.
void check_together(const distributed::Group& group, const AdapterOptions& adapters);
// What rank 0 has.
std::string from_first(const distributed::Group& group, const std::string& text);
// A number that all ranks draw from, chosen by rank 0.
uint64_t common_seed(const distributed::Group& group);

// From here on what this process says goes nowhere: another rank says the same.
void be_silent();

}  // namespace tarn::cli
