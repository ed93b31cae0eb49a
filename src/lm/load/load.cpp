#include "lm/load/load.h"

#include <algorithm>
#include <cstdlib>

#include "base/printable.h"
#include "base/require.h"
#include "lm/models/architecture.h"
#include "tarn/stop.h"

namespace tarn::lm {
namespace {

std::string shape_text(const Shape& s) { return fmt::format("({})", joined(s)); }

// What is wrong with a set of weights, to be said in one error.
class Complaints {
 public:
  void add(const std::string& text) {
    if (++count_ <= most) text_ += " " + text;
  }
  void raise(const std::string& file) const {
    if (count_ == 0) return;
    std::string rest = count_ > most ? fmt::format(" And {} more.", count_ - most) : "";
    fail<FileError>("[load] {}: {} of the weights {} not fit the model:{}{}", file, count_,
                    count_ == 1 ? "does" : "do", text_, rest);
  }

 private:
  static constexpr int most = 12;
  int count_ = 0;
  std::string text_{};
};

bool is_one_of(int value, std::initializer_list<int> known) {
  return std::find(known.begin(), known.end(), value) != known.end();
}

void check_dense(const std::string& path, const array& a, const Shape& want, Complaints& to) {
  if (a.shape() != want)
    to.add(fmt::format("{} has shape {}, the model needs {}.", path, shape_text(a.shape()),
                       shape_text(want)));
  else if (!issubdtype(a.dtype(), floating))
    to.add(fmt::format("{} is of {}, the model needs floating-point numbers.", path,
                       name_of(a.dtype())));
}

void check_matrix(const std::string& path, const nn::Matrix& m, Complaints& to) {
  Shape want{m.rows, m.columns};
  if (!m.quantised()) return check_dense(path + ".weight", m.weight, want, to);
  if (!is_one_of(m.bits, {2, 3, 4, 5, 6, 8}) || !is_one_of(m.group_size, {32, 64, 128}) ||
      m.columns % m.group_size != 0)
    return to.add(
        fmt::format("{}.weight has {} columns in {} bits and groups of {}; 2, 3, 4, 5, 6 "
                    "or 8 bits and whole groups of 32, 64 or 128 are needed.",
                    path, m.columns, m.bits, m.group_size));
  Shape codes{m.rows, m.columns * m.bits / 32}, groups{m.rows, m.columns / m.group_size};
  bool fits = m.weight.dtype() == uint32 && m.weight.shape() == codes &&
              m.scales->shape() == groups && m.biases && m.biases->shape() == groups &&
              issubdtype(m.scales->dtype(), floating) && issubdtype(m.biases->dtype(), floating);
  if (!fits)
    to.add(fmt::format(
        "{}.weight has shape {} and scales {}; {} in {} bits and groups of {} need {} and {}.",
        path, shape_text(m.weight.shape()), shape_text(m.scales->shape()), shape_text(want), m.bits,
        m.group_size, shape_text(codes), shape_text(groups)));
}

// Matrices by the sizes that the config gives them, their biases, and norms over the hidden size.
void check_shapes(Model& model, Complaints& to) {
  std::unordered_map<std::string, int64_t> rows;
  model.matrices([&](const std::string& path, nn::Matrix& m) {
    rows[path] = m.rows;
    check_matrix(path, m, to);
  });
  model.parameters([&](const std::string& name, array& a) {
    auto dot = name.rfind('.');
    auto matrix = rows.find(name.substr(0, dot));
    if (matrix == rows.end())
      check_dense(name, a, {model.shape().hidden_size}, to);
    else if (name.substr(dot) == ".bias")
      check_dense(name, a, {matrix->second}, to);
  });
}

}  // namespace

Model make_model(const Json& config, const std::string& file) {
  auto it = config.find("model_type");
  require<FileError>(it != config.end() && it->is_string(), "[load] {} lacks `model_type`.", file);
  std::string known;
  for (const auto& a : architectures()) {
    if (a.model_type == it->get<std::string>()) return a.make(config, file);
    known += (known.empty() ? "" : ", ") + std::string(a.model_type);
  }
  fail<FileError>("[load] {}: model_type \"{}\" is not one this build knows: {}.", file,
                  printable(it->get<std::string>()), known);
}

void fill_parameters(Model& model, Weights weights,
                     const std::function<Grouping(const std::string& path)>& grouping,
                     const std::string& file) {
  Complaints complaints;
  model.matrices([&](const std::string& path, nn::Matrix& m) {
    if (weights.count(path + ".scales") == 0) return;
    Grouping g = grouping(path);
    m.group_size = g.group_size, m.bits = g.bits;
    m.scales = array(), m.biases = array();
  });
  model.parameters([&](const std::string& path, array& parameter) {
    auto it = weights.find(path);
    if (it == weights.end()) {
      complaints.add(path + " is missing.");
      return;
    }
    parameter = std::move(it->second);
    weights.erase(it);
  });
  std::vector<std::string> rest;
  for (const auto& [name, a] : weights) rest.push_back(name);
  std::sort(rest.begin(), rest.end());
  for (const auto& name : rest)
    complaints.add(printable(name) + " belongs to nothing in the model.");
  complaints.raise(file);
  check_shapes(model, complaints);
  complaints.raise(file);
}

LanguageModel load(const std::filesystem::path& path, const LoadOptions& options) {
  require<FileError>(std::filesystem::exists(path),
                     "[load] {} does not exist. Give a GGUF file, a folder with config.json, or "
                     "run `make chat` once to fetch the default model.",
                     path.string());
  StopScope stop(options.stop);
  LanguageModel lm = std::filesystem::is_directory(path) ? load_model_folder(path, options)
                                                         : load_gguf_model(path, options);
  if (lm.chat_template) lm.tool_call_format = infer_tool_call_format(lm.chat_template->source());
  return lm;
}

std::filesystem::path cache_folder() {
  auto from = [](const char* variable, const char* tail) -> std::filesystem::path {
    const char* value = std::getenv(variable);
    return value && *value ? std::filesystem::path(value) / tail : std::filesystem::path();
  };
  for (auto [variable, tail] : {std::pair{"TARN_CACHE", ""}, std::pair{"XDG_CACHE_HOME", "tarn"},
                                std::pair{"HOME", ".cache/tarn"}})
    if (auto path = from(variable, tail); !path.empty()) return path;
  return ".tarn-cache";
}

std::filesystem::path default_model_path() {
  if (const char* model = std::getenv("TARN_MODEL"); model && *model) return model;
  return cache_folder() / "models" / "SmolLM2-135M-Instruct-Q4_1.gguf";
}

}  // namespace tarn::lm
