#include "lm/convert/convert.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <map>

#include "base/require.h"
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
  int group = how->group_size.value_or(how->mode == "nvfp4" ? 16 : how->mode == "affine" ? 64 : 32);
  return group > 0 && m.columns % group == 0 ? how : std::nullopt;
}

void change(Model& model, const ConvertOptions& o) {
  for (const auto& folder : o.adapters)
    LoRAContainer::from(folder).fuse(model, {.dequantize = o.dequantise});
  int64_t layers = model.shape().layers;
  model.matrices([&](const std::string& path, nn::Matrix& m) {
    if (o.dequantise && m.quantised()) nn::put_dense(m, m.dense(), false);
    if (o.dtype && !m.quantised()) m.weight = astype(m.weight, *o.dtype);
    if (m.quantised()) return;
    if (auto how = quantization_of(o, path, m, layers)) nn::quantize(m, *how, path);
  });
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

void write_folder(const fs::path& to, Model& model, const Json& config, const fs::path& from) {
  fs::create_directories(to);
  if (fs::is_directory(from)) copy_companions(from, to);
  std::unordered_map<std::string, array> weights;
  model.parameters([&](const std::string& path, array& a) { weights.emplace(path, a); });
  save_safetensors((to / "model.safetensors").string(), weights, {{"format", "mlx"}});
  std::ofstream out(to / "config.json", std::ios::binary);
  out << config.dump(2, ' ', false, Json::error_handler_t::replace) << "\n";
  out.close();
  require<FileError>(!out.fail(), "[convert] {} cannot be written.", (to / "config.json").string());
}

}  // namespace

void convert(const fs::path& from, const fs::path& to, const ConvertOptions& options) {
  check(options);
  require<FileError>(fs::exists(from), "[convert] {} does not exist.", from.string());
  require<FileError>(!fs::exists(to),
                     "[convert] {} is there already. Give another name or remove it.", to.string());
  StopScope stop(options.stop);
  bool folder = fs::is_directory(from);
  Checkpoint checkpoint = folder ? read_folder(from) : read_gguf(GgufFile::open(from.string()));
  Json config = checkpoint.config;
  for (const char* key : {"text_config", "vision_config", "audio_config"}) config.erase(key);
  if (config["model_type"] == "gemma3") config["model_type"] = "gemma3_text";
  Model model = build_model(std::move(checkpoint));
  bool tied = true;
  model.parameters(
      [&](const std::string& path, array&) { tied = tied && path != "lm_head.weight"; });
  config["tie_word_embeddings"] = tied;
  bool as_gguf = to.extension() == ".gguf";
  ConvertOptions all = options;
  all.dequantise = all.dequantise || as_gguf;
  require(!as_gguf || (!options.quantization && options.recipe.empty() && !options.choose),
          "[convert] {}: GGUF files are written with dense weights only. Leave the quantisation "
          "out.",
          to.string());
  change(model, all);
  require<Cancelled>(!options.stop.stop_requested(), "[convert] stopped on request.");
  describe(config, model);
  Staged staged(to);
  as_gguf ? write_gguf(staged.path(), model, config, folder ? from : fs::path())
          : write_folder(staged.path(), model, config, from);
  staged.publish();
}

}  // namespace tarn::lm
