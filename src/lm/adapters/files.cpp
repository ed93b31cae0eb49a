// Adapters in folders.
#include <algorithm>
#include <filesystem>
#include <set>

#include "base/file.h"
#include "base/json_text.h"
#include "base/printable.h"
#include "base/require.h"
#include "io/atomic_write.h"
#include "lm/adapters/content.h"
#include "tarn/io.h"
#include "tarn/ops.h"

namespace tarn::lm {
namespace {

namespace fs = std::filesystem;

constexpr const char* configuration_file = "adapter_config.json";
constexpr const char* mlx_file = "adapters.safetensors";
constexpr const char* peft_file = "adapter_model.safetensors";
constexpr const char* base_key = "tarn.base";

struct Ending {
  const char* end;
  Part part;
  bool in_table;
};
constexpr Ending mlx_endings[] = {
    {".lora_a", Part::a, false}, {".lora_b", Part::b, false}, {".m", Part::m, false}};
constexpr Ending peft_endings[] = {
    {".lora_A.weight", Part::a, false},         {".lora_B.weight", Part::b, false},
    {".lora_embedding_A", Part::a, true},       {".lora_embedding_B", Part::b, true},
    {".lora_magnitude_vector", Part::m, false}, {".lora_magnitude_vector.weight", Part::m, false}};

// What a matrix is called here: without PEFT's wrappers and those of models that see as well.
std::string own_path(std::string path) {
  for (const char* wrapper : {"base_model.model."})
    if (path.starts_with(wrapper)) path.erase(0, std::string_view(wrapper).size());
  for (const auto& [theirs, ours] :
       {std::pair<std::string, std::string>{"model.language_model.", "model."},
        {"language_model.model.", "model."},
        {"language_model.lm_head", "lm_head"}})
    if (path.starts_with(theirs)) return ours + path.substr(theirs.size());
  return path;
}

AdapterTensor tensor_of(const std::string& name, array value, AdapterForm form, bool full) {
  AdapterTensor t{.name = name, .path = own_path(name), .value = std::move(value)};
  auto split = [&](const auto& endings) {
    for (const Ending& e : endings)
      if (t.path.ends_with(e.end)) {
        t.path.resize(t.path.size() - std::string_view(e.end).size());
        t.part = e.part, t.in_table = e.in_table;
        return;
      }
  };
  if (full) return t;
  if (form == AdapterForm::mlx)
    split(mlx_endings);
  else
    split(peft_endings);
  // What an Embedding with a term was before.
  constexpr std::string_view base = ".base_layer.";
  if (auto at = t.path.find(base); t.part == Part::whole && at != std::string::npos)
    t.path.replace(at, base.size(), "."), t.is_base = true;
  return t;
}

std::string name_of_folder(const fs::path& folder) {
  fs::path clean = fs::absolute(folder).lexically_normal();
  return (clean.has_filename() ? clean : clean.parent_path()).filename().string();
}

void sort_by_name(std::vector<AdapterTensor>& tensors) {
  std::sort(tensors.begin(), tensors.end(),
            [](const AdapterTensor& a, const AdapterTensor& b) { return a.name < b.name; });
}

// --- writing

Json mlx_json(const LoRAConfiguration& c) {
  Json json{{"fine_tune_type", c.fine_tune_type}, {"num_layers", c.num_layers}};
  Json p{{"rank", c.lora_parameters.rank},
         {"scale", c.lora_parameters.scale},
         {"dropout", c.lora_parameters.dropout}};
  if (c.lora_parameters.keys) p["keys"] = *c.lora_parameters.keys;
  if (c.fine_tune_type != "full") json["lora_parameters"] = p;
  return json;
}

// The terms of a file by their matrices' paths, complete or an error.
struct FileTerm {
  array a{}, b{};
  std::optional<array> m{};
  bool in_table = false;
  Wanted wanted{};
};

bool is_table_by_name(const std::string& path) {
  std::string last = path.substr(path.rfind('.') + 1);
  return last.starts_with("embed") || last == "wte";
}

std::map<std::string, FileTerm> terms_of(const LoRAContainer::Content& c) {
  std::map<std::string, FileTerm> terms;
  std::map<std::string, std::set<Part>> there;
  for (const AdapterTensor& t : c.tensors) {
    if (t.part == Part::whole) continue;
    FileTerm& term = terms[t.path];
    term.in_table =
        c.form == AdapterForm::peft ? term.in_table || t.in_table : is_table_by_name(t.path);
    array value = as_in_mlx(t, c.form);
    if (t.part == Part::m)
      term.m = value;
    else
      (t.part == Part::a ? term.a : term.b) = value;
    there[t.path].insert(t.part);
  }
  PeftTargets targets(c.peft);
  for (auto& [path, term] : terms) {
    bool whole = there[path].count(Part::a) && there[path].count(Part::b) &&
                 term.m.has_value() == c.dora() && term.a.ndim() == 2 && term.b.ndim() == 2;
    require(whole, "[adapters] {}: the tensors of {} are not complete.", c.file, printable(path));
    auto& p = c.configuration.lora_parameters;
    auto wanted = c.form == AdapterForm::peft ? targets.wanted(path, term.in_table)
                                              : std::optional(Wanted{p.rank, p.scale});
    require(wanted.has_value(), "[adapters] {}: the configuration does not name {}.", c.file,
            printable(path));
    term.wanted = *wanted;
  }
  return terms;
}

struct Written {
  Json configuration{};
  std::unordered_map<std::string, array> tensors{};
};

std::unordered_map<std::string, array> whole_tensors(const LoRAContainer::Content& c) {
  std::unordered_map<std::string, array> all;
  for (const AdapterTensor& t : c.tensors)
    if (t.part == Part::whole && !t.is_base) all.emplace(t.path, t.value);
  return all;
}

// mlx-lm knows one rank and one scale: thinner terms get zeros, other scales go into B.
Written as_mlx(const LoRAContainer::Content& c) {
  Written w;
  w.tensors = whole_tensors(c);
  if (c.form == AdapterForm::mlx) {
    w.configuration = mlx_json(c.configuration);
    for (const AdapterTensor& t : c.tensors) w.tensors.insert_or_assign(t.name, t.value);
    return w;
  }
  require(w.tensors.empty(),
          "[adapters] {}: mlx-lm's form has no place for whole parameters beside low-rank terms. "
          "Write PEFT's form, or fold the adapter into the model.",
          c.file);
  LoRAConfiguration to = c.configuration;
  auto terms = terms_of(c);
  std::vector<std::string> keys;
  for (const auto& [path, t] : terms)
    keys.push_back(path), to.lora_parameters.rank =
                              std::max(to.lora_parameters.rank, static_cast<int>(t.wanted.rank));
  to.lora_parameters.keys = keys;
  if (to.lora_parameters.scale == 0) to.lora_parameters.scale = 1;  // others are in proportion
  for (const auto& [path, t] : terms) {
    int64_t more = to.lora_parameters.rank - t.a.shape(1);
    auto wider = [&](const array& x, int axis) {
      return more <= 0
                 ? x
                 : pad(x, std::vector<int>{axis}, Shape{0}, Shape{more}, array(0.0f, x.dtype()));
    };
    float ratio = t.wanted.scale / to.lora_parameters.scale;
    array b = ratio == 1 ? t.b : astype(t.b * array(ratio), t.b.dtype());
    w.tensors.emplace(path + ".lora_a", wider(t.a, 1));
    w.tensors.emplace(path + ".lora_b", wider(b, 0));
    if (t.m) w.tensors.emplace(path + ".m", *t.m);
  }
  w.configuration = mlx_json(to);
  return w;
}

Json peft_json(const LoRAContainer::Content& c, const std::vector<std::string>& targets) {
  const auto& p = c.configuration.lora_parameters;
  return {{"peft_type", "LORA"},
          {"task_type", "CAUSAL_LM"},
          {"r", p.rank},
          {"lora_alpha", p.scale * static_cast<float>(p.rank)},
          {"lora_dropout", p.dropout},
          {"use_dora", c.dora()},
          {"use_rslora", false},
          {"bias", "none"},
          {"fan_in_fan_out", false},
          {"inference_mode", true},
          {"target_modules", targets}};
}

Json peft_json(const PeftConfiguration& p) {
  Json json{{"peft_type", "LORA"},
            {"task_type", "CAUSAL_LM"},
            {"r", p.rank},
            {"lora_alpha", p.alpha},
            {"lora_dropout", p.dropout},
            {"use_dora", p.dora},
            {"use_rslora", p.root_scale},
            {"bias", "none"},
            {"fan_in_fan_out", false},
            {"inference_mode", true},
            {"rank_pattern", p.rank_pattern},
            {"alpha_pattern", p.alpha_pattern}};
  auto put = [&](const char* key, const auto& list, const std::string& pattern) {
    if (!pattern.empty())
      json[key] = pattern;
    else if (!list.empty())
      json[key] = list;
  };
  put("target_modules", p.targets, p.target_pattern);
  put("exclude_modules", p.excluded, p.excluded_pattern);
  put("layers_to_transform", p.layers, "");
  put("modules_to_save", p.modules_to_save, "");
  return json;
}

Written as_peft(const LoRAContainer::Content& c) {
  Written w;
  bool kept = c.form == AdapterForm::peft;
  require(kept || c.configuration.fine_tune_type != "full",
          "[adapters] {}: PEFT's form has no place for whole layers. Fold the adapter into the "
          "model.",
          c.file.empty() ? "the adapter" : c.file);
  if (kept) {
    w.configuration = peft_json(c.peft);
    for (const AdapterTensor& t : c.tensors) w.tensors.emplace(t.name, t.value);
    return w;
  }
  std::vector<std::string> targets;
  for (const auto& [path, t] : terms_of(c)) {
    targets.push_back(path);
    require(!t.in_table || !t.m,
            "[adapters] {}: DoRA of an embedding gives its rows their lengths, PEFT's form its "
            "columns. Write mlx-lm's form, or fold the adapter into the model.",
            path);
    auto name = [&, &p = path](const char* end) { return "base_model.model." + p + end; };
    w.tensors.emplace(name(t.in_table ? ".lora_embedding_A" : ".lora_A.weight"), transpose(t.a));
    w.tensors.emplace(name(t.in_table ? ".lora_embedding_B" : ".lora_B.weight"), transpose(t.b));
    if (t.m) w.tensors.emplace(name(".lora_magnitude_vector"), *t.m);
  }
  w.configuration = peft_json(c, targets);
  return w;
}

}  // namespace

LoRAContainer LoRAContainer::from(const fs::path& directory) {
  auto file = directory / configuration_file;
  std::error_code error;
  require<FileError>(fs::is_directory(directory, error),
                     "[adapters] {} is no folder: one with {} is needed.", directory.string(),
                     configuration_file);
  require<FileError>(fs::exists(file, error), "[adapters] {} has no {}.", directory.string(),
                     configuration_file);
  auto c = std::make_shared<Content>();
  bool mlx = fs::exists(directory / mlx_file, error),
       peft = fs::exists(directory / peft_file, error);
  require<FileError>(mlx || peft, "[adapters] {} has neither {} nor {}.", directory.string(),
                     mlx_file, peft_file);
  require<FileError>(!mlx || !peft, "[adapters] {} has both {} and {}: remove one.",
                     directory.string(), mlx_file, peft_file);
  c->name = name_of_folder(directory), c->file = directory.string();
  c->form = mlx ? AdapterForm::mlx : AdapterForm::peft;
  Json json = load_json(file.string(), size_t{16} << 20);
  if (mlx) {
    c->configuration = read_mlx_configuration(json, file.string());
  } else {
    c->peft = read_peft_configuration(json, file.string());
    c->configuration = nearest_configuration(c->peft);
  }
  auto [tensors, metadata] = load_safetensors((directory / (mlx ? mlx_file : peft_file)).string());
  bool full = mlx && c->configuration.fine_tune_type == "full";
  for (auto& [name, value] : tensors)
    c->tensors.push_back(tensor_of(name, std::move(value), c->form, full));
  sort_by_name(c->tensors);
  if (auto base = metadata.find(base_key); base != metadata.end()) c->base = base->second;
  return LoRAContainer(std::move(c));
}

void LoRAContainer::save(const fs::path& directory, AdapterForm form) const {
  bool mlx = form == AdapterForm::mlx;
  Written w = mlx ? as_mlx(*content_) : as_peft(*content_);
  std::string text = json_text(w.configuration, 2) + "\n";
  auto file = directory / configuration_file;
  std::error_code error;
  bool is_there = fs::exists(file, error);
  require<FileError>(!is_there || read_text(file.string(), uint64_t{16} << 20) == text,
                     "[adapters] {} holds an adapter with another configuration. Give another name "
                     "or remove it.",
                     directory.string());
  fs::create_directories(directory, error);
  require<FileError>(!error, "[adapters] {} cannot be made: {}.", directory.string(),
                     error.message());
  std::unordered_map<std::string, std::string> metadata{{"format", mlx ? "mlx" : "pt"}};
  if (!content_->base.empty()) metadata[base_key] = content_->base;
  save_safetensors((directory / (mlx ? mlx_file : peft_file)).string(), w.tensors, metadata);
  if (is_there) return;
  io::AtomicFile out(file.string());
  out.write(text);
  out.commit();
}

}  // namespace tarn::lm
