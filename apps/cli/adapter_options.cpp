#include "adapter_options.h"

namespace tarn::cli {

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
    adapter.load(model, {.on_request = on_request, .any_base = any_base});
    if (on_request && choice.name.empty()) choice.name = adapter.name();
  }
  return choice;
}

}  // namespace tarn::cli
