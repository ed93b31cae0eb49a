// An adapter as it was read: its tensors, and what its configuration says of a model's matrices.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "lm/tokenizer/regex.h"
#include "tarn/lm/adapters.h"

namespace tarn::lm {

// What a tensor is to its matrix; `whole` stands in place of a parameter.
enum class Part : uint8_t { a, b, m, whole };

struct AdapterTensor {
  std::string name{};  // in the file
  std::string path{};  // of the matrix or, where it is whole, of the parameter
  Part part = Part::whole;
  bool in_table = false;  // PEFT: of an Embedding
  bool is_base = false;   // PEFT: what the Embedding was, kept beside its term
  array value{};          // as in the file
};

// PEFT's adapter_config.json.
struct PeftConfiguration {
  int rank = 8;
  float alpha = 8, dropout = 0;
  bool root_scale = false;  // rslora: alpha / sqrt(rank)
  bool dora = false;
  std::map<std::string, int> rank_pattern{};
  std::map<std::string, float> alpha_pattern{};
  // Ends of paths, or a pattern for whole ones.
  std::vector<std::string> targets{}, excluded{};
  std::string target_pattern{}, excluded_pattern{};
  bool all_linear = false;
  std::vector<int64_t> layers{};  // empty: all
  std::vector<std::string> modules_to_save{};
};

// What a configuration asks for one matrix.
struct Wanted {
  int64_t rank = 0;
  float scale = 1;
};
struct Target {
  std::string path{};
  bool is_table = false;
};
// nothing: the matrix stays as it is.
using Chooser = std::function<std::optional<Wanted>(const Target& target)>;

struct LoRAContainer::Content {
  std::string name{};
  std::string file{};  // the folder, for errors; empty for a new one
  AdapterForm form = AdapterForm::mlx;
  LoRAConfiguration configuration{};
  PeftConfiguration peft{};
  std::vector<AdapterTensor> tensors{};  // sorted by name
  std::string base{};                    // fingerprint of the model it was made for, if known

  bool dora() const {
    return form == AdapterForm::peft ? peft.dora : configuration.fine_tune_type == "dora";
  }
  float dropout() const {
    return form == AdapterForm::peft ? peft.dropout : configuration.lora_parameters.dropout;
  }
};

// Reads the text of adapter_config.json. Throws FileError that names file and key.
LoRAConfiguration read_mlx_configuration(const Json& json, const std::string& file);
PeftConfiguration read_peft_configuration(const Json& json, const std::string& file);
// The nearest of mlx-lm's.
LoRAConfiguration nearest_configuration(const PeftConfiguration& peft);

// Which matrices of a model with so many layers are adapted, and how.
Chooser chooser_of(const LoRAContainer::Content& content, int64_t layers);
// mlx-lm's: `keys` of the last so many layers, or of the whole model.
bool is_key_of(const std::string& key, const std::string& path, int64_t layers, int num_layers);
// Whether a path is of one of the last `num_layers` of so many layers, and what stands below it.
std::optional<std::string> below_layer(const std::string& path, int64_t layers, int num_layers);
// PEFT's, with its patterns ready to be looked for: each is compiled once.
class PeftTargets {
 public:
  explicit PeftTargets(PeftConfiguration peft) : peft_(std::move(peft)) {}
  std::optional<Wanted> wanted(const std::string& path, bool is_table);

 private:
  bool matches(const std::string& pattern, const std::string& path);
  bool is_named(const std::vector<std::string>& ends, const std::string& pattern,
                const std::string& path);
  template <class T>
  T by_pattern(const std::map<std::string, T>& table, const std::string& path, T otherwise);

  PeftConfiguration peft_;
  std::map<std::string, tokenizer::Regex> compiled_{};
};
bool is_saved_whole(const PeftConfiguration& peft, const std::string& path);

// An adapter in a model's terms.
struct FittedAdapter {
  std::map<std::string, nn::LowRank> linears{}, tables{};  // by the matrix's path
  std::map<std::string, array> matrices{};    // whole weights of matrices, by the matrix's path
  std::map<std::string, array> parameters{};  // other whole parameters
  bool has_whole() const { return !matrices.empty() || !parameters.empty(); }
};
// Throws one ValueError that lists all that does not fit, `complaint` first unless it is empty.
FittedAdapter fitted(const LoRAContainer::Content& content, const Model& model,
                     const std::string& complaint);

// The fingerprint of the model without adapters.
std::string base_of(const LanguageModel& model);
std::string base_of(const Model& model);

// A term's tensors from a file, in MLX's orientation.
array as_in_mlx(const AdapterTensor& tensor, AdapterForm form);

}  // namespace tarn::lm
