#include "tarn/lm/factory.h"

#include <algorithm>

#include "base/printable.h"
#include "base/require.h"

namespace tarn::lm {

ModelRegistry well_known_models() {
  struct Known {
    const char *name, *id, *eos;
  };
  // Names, ids and what else ends an answer, as in MLX Swift's LLMRegistry.
  constexpr Known models[] = {
      {"smolLM_135M_4bit", "mlx-community/SmolLM-135M-Instruct-4bit", ""},
      {"smollm3_3b_4bit", "mlx-community/SmolLM3-3B-4bit", ""},
      {"llama3_8B_4bit", "mlx-community/Meta-Llama-3-8B-Instruct-4bit", "<|eot_id|>"},
      {"llama3_1_8B_4bit", "mlx-community/Meta-Llama-3.1-8B-Instruct-4bit", "<|eot_id|>"},
      {"llama3_2_1B_4bit", "mlx-community/Llama-3.2-1B-Instruct-4bit", "<|eot_id|>"},
      {"llama3_2_3B_4bit", "mlx-community/Llama-3.2-3B-Instruct-4bit", "<|eot_id|>"},
      {"mistral7B4bit", "mlx-community/Mistral-7B-Instruct-v0.3-4bit", ""},
      {"mistralNeMo4bit", "mlx-community/Mistral-Nemo-Instruct-2407-4bit", ""},
      {"qwen2_5_1_5b", "mlx-community/Qwen2.5-1.5B-Instruct-4bit", "<|im_end|>"},
      {"qwen2_5_7b", "mlx-community/Qwen2.5-7B-Instruct-4bit", "<|im_end|>"},
      {"qwen3_0_6b_4bit", "mlx-community/Qwen3-0.6B-4bit", "<|im_end|>"},
      {"qwen3_1_7b_4bit", "mlx-community/Qwen3-1.7B-4bit", "<|im_end|>"},
      {"qwen3_4b_4bit", "mlx-community/Qwen3-4B-4bit", "<|im_end|>"},
      {"qwen3_8b_4bit", "mlx-community/Qwen3-8B-4bit", "<|im_end|>"},
      {"gemma_2_2b_it_4bit", "mlx-community/gemma-2-2b-it-4bit", ""},
      {"gemma_2_9b_it_4bit", "mlx-community/gemma-2-9b-it-4bit", ""},
      {"gemma3_1B_qat_4bit", "mlx-community/gemma-3-1b-it-qat-4bit", "<end_of_turn>"},
      {"phi3_5_4bit", "mlx-community/Phi-3.5-mini-instruct-4bit", "<|end|>"},
  };
  ModelRegistry registry;
  for (const Known& m : models) {
    ModelConfiguration model{.id = m.id};
    if (*m.eos) model.extra_eos_tokens = {m.eos};
    registry.add(m.name, std::move(model));
  }
  return registry;
}

void apply(const ModelConfiguration& configuration, LanguageModel& model) {
  std::string name = configuration.directory.empty() ? configuration.id : configuration.name();
  std::vector<int32_t> ids = model.stop_ids;
  for (const std::string& token : configuration.extra_eos_tokens) {
    auto id = model.tokenizer.id_of(token);
    require(id.has_value(),
            "[load] {}: \"{}\" of extra_eos_tokens is no token of the vocabulary. Texts that end "
            "an answer are stop_strings.",
            printable(name), printable(token));
    ids.push_back(*id);
  }
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  model.stop_ids = std::move(ids);
  const auto& texts = configuration.stop_strings;
  model.stop_strings.insert(model.stop_strings.end(), texts.begin(), texts.end());
  if (!name.empty()) model.name = std::move(name);
}

LLMModelFactory& LLMModelFactory::shared() {
  static LLMModelFactory factory(well_known_models());
  return factory;
}

LanguageModel LLMModelFactory::load(const HubClient& hub, const TokenizersLoader& tokenizers,
                                    const ModelConfiguration& configuration,
                                    const LoadOptions& options, const FetchOptions& fetch) const {
  FetchOptions fetched = fetch;
  if (!fetched.stop.stop_possible()) fetched.stop = options.stop;
  std::filesystem::path path = hub.fetch(configuration, fetched);
  LanguageModel model = lm::load(path, options);
  if (tokenizers.load) model.tokenizer = tokenizers.load(path);
  apply(configuration, model);
  return model;
}

ModelContainer LLMModelFactory::load_container(const HubClient& hub,
                                               const TokenizersLoader& tokenizers,
                                               const ModelConfiguration& configuration,
                                               const LoadOptions& options,
                                               const FetchOptions& fetch) const {
  return ModelContainer(load(hub, tokenizers, configuration, options, fetch));
}

ModelContainer LLMModelFactory::load_container(const std::filesystem::path& model,
                                               const TokenizersLoader& tokenizers,
                                               const LoadOptions& options) const {
  return load_container(HubClient::shared(), tokenizers, {.directory = model}, options);
}

ModelConfiguration LLMModelFactory::configuration(std::string_view name) const {
  std::lock_guard lock(mutex_);
  return registry_.configuration(name);
}

bool LLMModelFactory::contains(std::string_view name) const {
  std::lock_guard lock(mutex_);
  return registry_.find(name) != nullptr;
}

void LLMModelFactory::register_configuration(const std::string& name,
                                             ModelConfiguration configuration) {
  std::lock_guard lock(mutex_);
  registry_.add(name, std::move(configuration));
}

std::vector<std::string> LLMModelFactory::names() const {
  std::lock_guard lock(mutex_);
  return registry_.names();
}

LanguageModel load(std::string_view name, const HubClient& hub, const LoadOptions& options) {
  const auto& factory = LLMModelFactory::shared();
  return factory.load(hub, {}, factory.configuration(name), options);
}

}  // namespace tarn::lm
