#include "tarn/lm/factory.h"

namespace tarn::lm {

ModelRegistry well_known_models() {
  // Names as in MLX Swift's LLMRegistry.
  constexpr std::pair<const char*, const char*> models[] = {
      {"smolLM_135M_4bit", "mlx-community/SmolLM-135M-Instruct-4bit"},
      {"smollm3_3b_4bit", "mlx-community/SmolLM3-3B-4bit"},
      {"llama3_8B_4bit", "mlx-community/Meta-Llama-3-8B-Instruct-4bit"},
      {"llama3_1_8B_4bit", "mlx-community/Meta-Llama-3.1-8B-Instruct-4bit"},
      {"llama3_2_1B_4bit", "mlx-community/Llama-3.2-1B-Instruct-4bit"},
      {"llama3_2_3B_4bit", "mlx-community/Llama-3.2-3B-Instruct-4bit"},
      {"mistral7B4bit", "mlx-community/Mistral-7B-Instruct-v0.3-4bit"},
      {"mistralNeMo4bit", "mlx-community/Mistral-Nemo-Instruct-2407-4bit"},
      {"qwen2_5_1_5b", "mlx-community/Qwen2.5-1.5B-Instruct-4bit"},
      {"qwen2_5_7b", "mlx-community/Qwen2.5-7B-Instruct-4bit"},
      {"qwen3_0_6b_4bit", "mlx-community/Qwen3-0.6B-4bit"},
      {"qwen3_1_7b_4bit", "mlx-community/Qwen3-1.7B-4bit"},
      {"qwen3_4b_4bit", "mlx-community/Qwen3-4B-4bit"},
      {"qwen3_8b_4bit", "mlx-community/Qwen3-8B-4bit"},
      {"gemma_2_2b_it_4bit", "mlx-community/gemma-2-2b-it-4bit"},
      {"gemma_2_9b_it_4bit", "mlx-community/gemma-2-9b-it-4bit"},
      {"gemma3_1B_qat_4bit", "mlx-community/gemma-3-1b-it-qat-4bit"},
      {"phi3_5_4bit", "mlx-community/Phi-3.5-mini-instruct-4bit"},
  };
  ModelRegistry registry;
  for (auto [name, id] : models) registry.add(name, {.id = id});
  return registry;
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
  if (!configuration.name().empty()) model.name = configuration.name();
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
