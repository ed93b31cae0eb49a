// Adapters: small changes of a model that have files of their own. LoRA, DoRA and whole parameters,
// in the forms of mlx-lm and of PEFT; loaded, unloaded, stacked, chosen by answer, folded in.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tarn/lm/container.h"

namespace tarn::lm {

// What an adapter changes, by the keys of mlx-lm's adapter_config.json.
struct LoRAConfiguration {
  struct Parameters {
    int rank = 8;
    float scale = 20;
    float dropout = 0;
    // Which matrices: paths below a layer ("self_attn.q_proj") or in the model ("lm_head"). Unset:
    // all of the layers.
    std::optional<std::vector<std::string>> keys{};
  };
  std::string fine_tune_type = "lora";  // "lora", "dora" or "full", whole parameters
  int num_layers = 16;                  // of the last so many layers; negative: of all
  Parameters lora_parameters{};
};

enum class AdapterForm : uint8_t { mlx, peft };

// How an adapter stands in a model.
struct AdapterPlace {
  std::string name{};  // empty: the adapter's own
  float weight = 1;    // times what it changes
  // Not for every answer but for those whose GenerateParameters::adapter names it. Any number of
  // them share a batch.
  bool on_request = false;
  bool any_base = false;  // also where it was made for another model
};

struct FuseOptions {
  float weight = 1;
  bool dequantize = false;  // leave what was quantised dense
  bool any_base = false;
  // The model that the adapter was made for, where others are folded in already; none: the model
  // that it goes into.
  const Model* base = nullptr;
};

// An adapter as a value: copies share the arrays, any thread may use it. All changes of a model are
// made whole or not at all.
class LoRAContainer {
 public:
  // A folder with adapter_config.json and adapters.safetensors (mlx-lm) or
  // adapter_model.safetensors (PEFT). Throws FileError for what cannot be read.
  static LoRAContainer from(const std::filesystem::path& directory);
  // A new one, which changes nothing yet: A uniform within 1 / sqrt(inputs), B zero. It has no name
  // of its own, so loaded its parameters have MLX's names. With "full" it holds the parameters
  // themselves. Throws ValueError for keys that nothing in the model has.
  static LoRAContainer from(const LanguageModel& model, const LoRAConfiguration& configuration,
                            uint64_t seed = 0);
  // The same adapter with the numbers that it has in a model now, after training. Throws ValueError
  // where the model has no adapter `name`.
  LoRAContainer updated_from(const LanguageModel& model, const std::string& name = "") const;

  const std::string& name() const;
  // PEFT's keys as the nearest of mlx-lm's.
  const LoRAConfiguration& configuration() const;
  size_t nbytes() const;
  // It has whole parameters, which answers cannot choose.
  bool replaces_parameters() const;

  // Puts it into the model; adapters that are there already stay, and their changes add up.
  // Throws ValueError that lists all that does not fit: tensors that are missing, left over, turned
  // around or of other sizes, and another base than it was made for.
  void load(LanguageModel& model, const AdapterPlace& place = {}) const;
  // Takes it out again, by its name. The model is the very one from before.
  void unload(LanguageModel& model) const;
  // Folds it into the weights, quantised ones in their own mode, group size and bits.
  void fuse(LanguageModel& model, const FuseOptions& options = {}) const;
  void fuse(Model& model, const FuseOptions& options = {}) const;
  // f(model) with a model that has it; the container's own does not change.
  template <class F>
  auto perform(const ModelContainer& container, F&& f) const {
    LanguageModel with = *container.model();
    load(with);
    return std::forward<F>(f)(std::as_const(with));
  }

  // Writes a folder that the other program reads, each file whole or not at all, the configuration
  // last. Of a folder that is there already, with the same configuration, the tensors are replaced;
  // other ones are a FileError.
  void save(const std::filesystem::path& directory, AdapterForm form = AdapterForm::mlx) const;

  struct Content;
  explicit LoRAContainer(std::shared_ptr<const Content> content) : content_(std::move(content)) {}

 private:
  std::shared_ptr<const Content> content_;
};

// Takes an adapter out of a model by its name. Throws ValueError where there is none.
void unload_adapter(LanguageModel& model, const std::string& name);
// How much of an adapter's change is added. Throws ValueError as above.
void set_adapter_weight(LanguageModel& model, const std::string& name, float weight);

}  // namespace tarn::lm
