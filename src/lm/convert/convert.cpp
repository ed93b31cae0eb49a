#include "lm/convert/convert.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <map>

#include "base/json_text.h"
#include "base/require.h"
#include "lm/convert/vocabulary.h"
#include "tarn/io.h"
#include "tarn/lm/adapters.h"
#include "tarn/ops.h"
#include "tarn/stop.h"

namespace tarn::lm {
namespace {

namespace fs = std::filesystem;

// A folder or file under another name until all of it is there.
class Staged {
 public:
  explicit Staged(const fs::path& to) : to_(to) {
    fs::path last = to.has_filename() ? to.filename() : to.parent_path().filename();
    part_ = (to.has_filename() ? to : to.parent_path()).parent_path() /
            fmt::format(".{}.part-{}", last.string(), getpid());
    fs::remove_all(part_);
  }
  Staged(const Staged&) = delete;
  Staged& operator=(const Staged&) = delete;
  ~Staged() {
    std::error_code ignored;
    fs::remove_all(part_, ignored);
  }
  const fs::path& path() const { return part_; }
  void publish() {
    if (fs::is_directory(part_))
      for (const auto& entry : fs::directory_iterator(part_)) sync(entry.path());
    sync(part_);
    require<FileError>(!fs::exists(to_), "[convert] {} has come into being meanwhile.",
                       to_.string());
    fs::rename(part_, to_.has_filename() ? to_ : to_.parent_path());
    fs::path above = (to_.has_filename() ? to_ : to_.parent_path()).parent_path();
    sync(above.empty() ? "." : above);
  }

 private:
  static void sync(const fs::path& path) {
    int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (file < 0) return;
    ::fsync(file);
    ::close(file);
  }
  fs::path to_{}, part_{};
};

std::optional<nn::Quantization> quantization_of(const ConvertOptions& o, const std::string& path,
                                                const nn::Matrix& m, int64_t layers) {
  if (o.choose) return o.choose(path, m);
  auto how = o.recipe.empty() ? o.quantization : std::optional(by_recipe(o.recipe, path, layers));
  if (!how) return std::nullopt;
  return m.columns % group_of(*how) == 0 ? how : std::nullopt;
}

// What is asked for and fits nowhere is an error; where it fits in part, the rest is told of.
void check_quantised(const ConvertOptions& o, const fs::path& from, int64_t made, int64_t kept) {
  if (o.choose || (!o.quantization && o.recipe.empty())) return;
  require(made > 0 || kept == 0,
          "[convert] {} is quantised already: nothing would be quantised as asked. Add dequantise "
          "(--dequantise) to quantise it anew.",
          from.string());
  require(
      made > 0,
      "[convert] no matrix of {} has columns in whole groups of {}: nothing would be quantised. "
      "Give a smaller group size (--group), or another mode (--mode).",
      from.string(), o.quantization ? group_of(*o.quantization) : 64);
  if (kept > 0 && o.note)
    o.note(
        fmt::format("{} of the matrices were quantised already and stay as they are. With "
                    "dequantise (--dequantise) they are quantised anew.",
                    kept));
}

// Adapters stack: each was made for the model without the others.
void fold_in_adapters(Model& model, const ConvertOptions& o) {
  const Model base = model;  // shares the arrays
  for (const auto& folder : o.adapters)
    LoRAContainer::from(folder).fuse(
        model, {.dequantize = o.dequantise, .any_base = o.any_base, .base = &base});
}

void change(Model& model, const ConvertOptions& o, const fs::path& from) {
  fold_in_adapters(model, o);
  int64_t layers = model.shape().layers, made = 0, kept = 0;
  model.matrices([&](const std::string& path, nn::Matrix& m) {
    if (o.dequantise && m.quantised()) nn::put_dense(m, m.dense(), false);
    if (o.dtype && !m.quantised()) m.weight = astype(m.weight, *o.dtype);
    if (m.quantised())
      ++kept;
    else if (auto how = quantization_of(o, path, m, layers))
      nn::quantize(m, *how, path), ++made;
  });
  check_quantised(o, from, made, kept);
  if (!o.dtype) return;
  model.parameters([&](const std::string&, array& a) {
    if (issubdtype(a.dtype(), floating)) a = astype(a, *o.dtype);
  });
}

Json grouping_json(const nn::Matrix& m) {
  return {{"group_size", m.group_size}, {"bits", m.bits}, {"mode", m.mode}};
}

// What config.json says of quantised matrices: the commonest way for all, others by path.
void describe(Json& config, Model& model) {
  for (const char* key : {"quantization", "quantization_config"}) config.erase(key);
  std::map<std::string, int> counts;
  model.matrices([&](const std::string&, nn::Matrix& m) {
    if (m.quantised()) ++counts[grouping_json(m).dump()];
  });
  if (counts.empty()) return;
  auto commonest = std::max_element(counts.begin(), counts.end(), [](const auto& a, const auto& b) {
    return a.second < b.second;
  });
  Json all = Json::parse(commonest->first), q = all;
  model.matrices([&](const std::string& path, nn::Matrix& m) {
    if (m.quantised() && grouping_json(m) != all) q[path] = grouping_json(m);
  });
  config["quantization"] = q;
  config["quantization_config"] = q;
}

void write_json(const fs::path& file, const Json& json) {
  std::ofstream out(file, std::ios::binary);
  out << json_text(json, 2) << "\n";
  out.close();
  require<FileError>(!out.fail(), "[convert] {} cannot be written.", file.string());
}

void copy_companions(const fs::path& from, const fs::path& to) {
  for (const auto& entry : fs::directory_iterator(from)) {
    std::string name = entry.path().filename().string();
    bool weights = name.ends_with(".safetensors") || name.ends_with(".safetensors.index.json");
    bool text = name.ends_with(".json") || name.ends_with(".jinja") || name.ends_with(".txt") ||
                name == "tokenizer.model" || name == "LICENSE" || name == "README.md";
    if (entry.is_regular_file() && text && !weights && name != "config.json")
      fs::copy_file(fs::canonical(entry.path()), to / name);
  }
}

// "model-00001-of-00003.safetensors".
std::string shard_name(size_t shard, size_t of) {
  return of == 1 ? "model.safetensors"
                 : fmt::format("model-{:05}-of-{:05}.safetensors", shard + 1, of);
}

// In the order of their names, as many in a file as it may hold.
void write_weights(const fs::path& to, Model& model, uint64_t shard_bytes) {
  std::map<std::string, array> weights;
  model.parameters([&](const std::string& path, array& a) { weights.emplace(path, a); });
  std::vector<std::unordered_map<std::string, array>> shards(1);
  uint64_t in_shard = 0, total = 0;
  for (const auto& [name, a] : weights) {
    if (in_shard > 0 && in_shard + a.nbytes() > shard_bytes) shards.emplace_back(), in_shard = 0;
    shards.back().emplace(name, a);
    in_shard += a.nbytes(), total += a.nbytes();
  }
  Json map = Json::object();
  for (size_t i = 0; i < shards.size(); ++i) {
    std::string file = shard_name(i, shards.size());
    save_safetensors((to / file).string(), shards[i], {{"format", "mlx"}});
    for (const auto& [name, a] : shards[i]) map[name] = file;
  }
  if (shards.size() > 1)
    write_json(to / "model.safetensors.index.json",
               {{"metadata", {{"total_size", total}}}, {"weight_map", std::move(map)}});
}

// What stands beside the weights, from a folder or, without one, from a GGUF file.
void write_companions(const fs::path& to, const fs::path& from, const ConvertOptions& o) {
  if (fs::is_directory(from))
    copy_companions(from, to);
  else
    write_vocabulary(to, GgufFile::open(from.string()), o.note);
}

bool has_vocabulary(const fs::path& gguf) {
  return GgufFile::open(gguf.string()).has("tokenizer.ggml.model");
}

// The ids that end an answer stand in a GGUF file with the vocabulary.
void add_stop_ids(Json& config, const std::vector<int32_t>& ids) {
  if (config.contains("eos_token_id") || ids.empty()) return;
  config["eos_token_id"] = ids.size() == 1 ? Json(ids[0]) : Json(ids);
}

void write_folder(const fs::path& to, Model& model, const Json& config, const fs::path& from,
                  const ConvertOptions& o) {
  fs::create_directories(to);
  write_companions(to, from, o);
  write_weights(to, model, o.shard_bytes);
  write_json(to / "config.json", config);
}

}  // namespace

void convert(const fs::path& from, const fs::path& to, const ConvertOptions& options) {
  check(options);
  require<FileError>(fs::exists(from), "[convert] {} does not exist.", from.string());
  require<FileError>(!fs::exists(to),
                     "[convert] {} is there already. Give another name or remove it.", to.string());
  StopScope stop(options.stop);
  bool is_folder = fs::is_directory(from), to_gguf = to.extension() == ".gguf";
  ModelFiles files = open_model(from);
  Checkpoint checkpoint = files.checkpoint();
  Json config = checkpoint.config;
  for (const char* key : {"text_config", "vision_config", "audio_config"}) config.erase(key);
  if (config["model_type"] == "gemma3") config["model_type"] = "gemma3_text";
  if (!is_folder && has_vocabulary(from)) add_stop_ids(config, files.about().stop_ids);
  Model model = build_model(std::move(checkpoint));
  bool tied = true;
  model.parameters(
      [&](const std::string& path, array&) { tied = tied && path != "lm_head.weight"; });
  config["tie_word_embeddings"] = tied;
  change(model, options, from);
  if (int64_t n = to_gguf ? dequantise_for_gguf(model) : 0; n > 0 && options.note)
    options.note(
        fmt::format("{} of the matrices fit no quantised type of GGUF to the last bit: "
                    "they are written as float16.",
                    n));
  require<Cancelled>(!options.stop.stop_requested(), "[convert] stopped on request.");
  describe(config, model);
  Staged staged(to);
  to_gguf ? write_gguf(staged.path(), model, config, from)
          : write_folder(staged.path(), model, config, from, options);
  require<Cancelled>(!options.stop.stop_requested(), "[convert] stopped on request.");
  staged.publish();
}

}  // namespace tarn::lm
