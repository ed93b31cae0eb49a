// Adapters on the command line.
#pragma once

#include <string>
#include <vector>

#include "arguments.h"
#include "tarn/lm.h"

namespace tarn::cli {

// What an adapter of this folder is called in the model: by its own name, the folder's, or by the
// whole path where another has that.
std::string name_for(const lm::LoRAContainer& adapter, const std::string& folder,
                     const lm::LanguageModel& model);

struct AdapterOptions {
  std::vector<std::string> folders{};
  bool any_base = false;  // also those that were made for another model

  void add_to(Arguments& arguments);
  // Puts them into the model, and says which one answers use: the first of those that answers can
  // choose. One that replaces whole parameters is there for all of them.
  nn::AdapterChoice load_into(lm::LanguageModel& model) const;
};

}  // namespace tarn::cli
