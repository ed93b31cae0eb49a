#include "adapter_options.h"

#include <algorithm>

namespace tarn::cli {

std::string name_for(const lm::LoRAContainer& adapter, const std::string& folder,
                     const lm::LanguageModel& model) {
  bool is_taken = std::ranges::any_of(
      model.adapters, [&](const lm::LoadedAdapter& a) { return a.name == adapter.name(); });
  return is_taken ? folder : adapter.name();
}

void AdapterOptions::add_to(Arguments& arguments) {
  arguments.texts("--adapter", folders,
                  "a folder with a LoRA adapter of mlx-lm or PEFT; of several the first is used");
  arguments.flag("--any-base", any_base, "adapters may be made for another model");
}

nn::AdapterChoice AdapterOptions::load_into(lm::LanguageModel& model) const {
  nn::AdapterChoice choice;
  for (const auto& folder : folders) {
    auto adapter = lm::LoRAContainer::from(folder);
    bool on_request = !adapter.replaces_parameters();
    std::string name = name_for(adapter, folder, model);
    adapter.load(model, {.name = name, .on_request = on_request, .any_base = any_base});
    if (on_request && choice.name.empty()) choice.name = name;
  }
  return choice;
}

}  // namespace tarn::cli
