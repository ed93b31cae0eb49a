// From the name of a model to a container that answers.
#pragma once

#include <filesystem>
#include <functional>
#include <mutex>
#include <string>
#include <vector>

#include "tarn/lm/container.h"
#include "tarn/lm/hub.h"
#include "tarn/lm/model_registry.h"

namespace tarn::lm {

// Where the tokenizer of a model comes from. Without a function of its own, from the model's files.
struct TokenizersLoader {
  std::function<Tokenizer(const std::filesystem::path& model)> load{};
};

// Loads models by id, by a name of its registry, or from a directory. Any thread may use it.
class LLMModelFactory {
 public:
  // Knows the models of well_known_models() by their names.
  static LLMModelFactory& shared();
  explicit LLMModelFactory(ModelRegistry registry = {}) : registry_(std::move(registry)) {}

  // Downloads what is missing, checks it and loads it; a configuration with a directory uses no
  // network. Throws HubError, FileError, and Cancelled after a stop. `progress` of `options` is
  // called while loading, FetchOptions::progress of `fetch` while downloading.
  LanguageModel load(const HubClient& hub, const TokenizersLoader& tokenizers,
                     const ModelConfiguration& configuration, const LoadOptions& options = {},
                     const FetchOptions& fetch = {}) const;
  ModelContainer load_container(const HubClient& hub, const TokenizersLoader& tokenizers,
                                const ModelConfiguration& configuration,
                                const LoadOptions& options = {},
                                const FetchOptions& fetch = {}) const;
  // From files that are there already.
  ModelContainer load_container(const std::filesystem::path& model,
                                const TokenizersLoader& tokenizers = {},
                                const LoadOptions& options = {}) const;

  // The registry: what a name stands for, an id as it is.
  ModelConfiguration configuration(std::string_view name) const;
  bool contains(std::string_view name) const;
  void register_configuration(const std::string& name, ModelConfiguration configuration);
  std::vector<std::string> names() const;

 private:
  mutable std::mutex mutex_{};
  ModelRegistry registry_;
};

// Quantised chat models of mlx-community for the families that this build knows, by short names
// such as "llama3_2_3B_4bit".
ModelRegistry well_known_models();

// Gives a loaded model what its configuration says: its name, and what ends an answer. Throws
// ValueError for a token that the vocabulary lacks; the model is as before then.
void apply(const ModelConfiguration& configuration, LanguageModel& model);

// The short form: an id, a registered name, or a path of files.
LanguageModel load(std::string_view name, const HubClient& hub, const LoadOptions& options = {});

}  // namespace tarn::lm
