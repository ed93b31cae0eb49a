// From a checkpoint to a model: every parameter its array, every array its parameter.
#include <algorithm>
#include <numeric>

#include "base/printable.h"
#include "base/require.h"
#include "lm/load/config.h"
#include "lm/load/divide.h"
#include "lm/load/load.h"
#include "lm/models/division.h"

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

// Bits and group sizes that a mode has; "" or what is wrong.
std::string wrong_grouping(const nn::Matrix& m) {
  struct Fixed {
    const char* mode;
    int group_size, bits;
  };
  if (m.mode == "affine") {
    bool known = is_one_of(m.bits, {2, 3, 4, 5, 6, 8}) && is_one_of(m.group_size, {32, 64, 128});
    return known && m.columns % m.group_size == 0
               ? ""
               : "2, 3, 4, 5, 6 or 8 bits and whole groups of 32, 64 or 128 are needed.";
  }
  for (auto [mode, group_size, bits] : {Fixed{"mxfp4", 32, 4}, {"nvfp4", 16, 4}, {"mxfp8", 32, 8}})
    if (m.mode == mode) {
      bool fits = m.bits == bits && m.group_size == group_size && m.columns % group_size == 0;
      return fits ? ""
                  : fmt::format("{} has {} bits and whole groups of {}.", mode, bits, group_size);
    }
  return fmt::format("the mode \"{}\" is not known; affine, mxfp4, nvfp4 and mxfp8 are.",
                     printable(m.mode));
}

void check_matrix(const std::string& path, const nn::Matrix& m, Complaints& to) {
  Shape want{m.rows, m.columns};
  if (!m.quantised()) return check_dense(path + ".weight", m.weight, want, to);
  if (auto wrong = wrong_grouping(m); !wrong.empty())
    return to.add(fmt::format("{}.weight has {} columns in {} bits and groups of {}; {}", path,
                              m.columns, m.bits, m.group_size, wrong));
  Shape codes{m.rows, m.columns * m.bits / 32}, groups{m.rows, m.columns / m.group_size};
  bool affine = m.mode == "affine";
  bool fits =
      m.weight.dtype() == uint32 && m.weight.shape() == codes && m.scales->shape() == groups;
  if (affine)
    fits = fits && m.biases && m.biases->shape() == groups &&
           issubdtype(m.scales->dtype(), floating) && issubdtype(m.biases->dtype(), floating);
  else
    fits = fits && m.scales->dtype() == uint8;
  if (!fits)
    to.add(fmt::format(
        "{}.weight has shape {} and scales {}; {} in {} bits and groups of {} need "
        "{} and {}{}.",
        path, shape_text(m.weight.shape()), shape_text(m.scales->shape()), shape_text(want), m.bits,
        m.group_size, shape_text(codes), shape_text(groups), affine ? "" : " of uint8"));
}

// Matrices by the sizes that the config gives them, their biases, and norms by theirs.
void check_shapes(Model& model, Complaints& to) {
  std::unordered_map<std::string, int64_t> biases;
  model.matrices([&](const std::string& path, nn::Matrix& m) {
    biases[path + ".bias"] = m.rows;
    check_matrix(path, m, to);
  });
  model.parameters([&](const std::string& name, array& a) {
    if (auto it = biases.find(name); it != biases.end()) check_dense(name, a, {it->second}, to);
  });
  model.norms([&](const std::string& path, nn::RMSNorm& norm) {
    if (norm.size > 0) check_dense(path + ".weight", norm.weight, {norm.size}, to);
  });
}

size_t edits(const std::string& a, const std::string& b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row.back();
}

// Gives tensors their names in the model. Two with one name is an error.
Weights renamed(Weights weights, const Architecture& family, const std::string& file) {
  Weights ours;
  for (auto& [name, a] : weights) {
    if (name.find("rotary_emb.inv_freq") != std::string::npos) continue;
    auto to = family.rename ? family.rename(name) : name;
    if (!to) continue;
    bool fresh = ours.emplace(*to, std::move(a)).second;
    require<FileError>(fresh, "[load] {}: two tensors stand for {}, one is {}.", file,
                       printable(*to), printable(name));
  }
  return ours;
}

// Whether the output layer shares the embedding: by the config or, where it does not say, by the
// lack of a weight.
bool is_tied(const Json& config, const Weights& weights, const std::string& file) {
  auto it = config.find("tie_word_embeddings");
  if (it == config.end() || it->is_null()) return weights.count("lm_head.weight") == 0;
  require<FileError>(it->is_boolean(), "[load] {}: `tie_word_embeddings` is {}, not true or false.",
                     file, printable(it->dump()));
  return it->get<bool>();
}

void fill_parameters(Model& model, Weights weights, const Groupings& grouping,
                     const std::string& file) {
  Complaints complaints;
  model.matrices([&](const std::string& path, nn::Matrix& m) {
    if (weights.count(path + ".scales") == 0) return;
    Grouping g = grouping(path);
    m.group_size = g.group_size, m.bits = g.bits, m.mode = g.mode;
    m.scales = array();
    if (m.mode == "affine") m.biases = array();
  });
  model.parameters([&](const std::string& path, array& parameter) {
    auto it = weights.find(path);
    if (it == weights.end()) return complaints.add(path + " is missing.");
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

}  // namespace

Architecture architecture_of(const Json& config, const std::string& file) {
  auto it = config.find("model_type");
  require<FileError>(it != config.end() && it->is_string(), "[load] {} lacks `model_type`.", file);
  auto name = it->get<std::string>();
  if (auto found = find_architecture(name)) return *found;
  auto known = known_model_types();
  std::string asked = name.substr(0, 64);
  std::stable_sort(known.begin(), known.end(),
                   [&](const auto& a, const auto& b) { return edits(a, asked) < edits(b, asked); });
  known.resize(std::min<size_t>(known.size(), 3));
  fail<FileError>("[load] {}: model_type \"{}\" is not supported; the nearest that are: {}.", file,
                  printable(asked), joined(known));
}

Model build_model(Checkpoint c) {
  Architecture family = architecture_of(c.config, c.config_file);
  c.weights = renamed(std::move(c.weights), family, c.weights_file);
  bool tied = is_tied(c.config, c.weights, c.config_file);
  c.config["tie_word_embeddings"] = tied;
  if (tied)
    for (const char* part : {"weight", "scales", "biases"})
      c.weights.erase(std::string("lm_head.") + part);
  if (auto group = DivisionScope::current()) divide(c, *group);
  Model model = family.make(config_from(std::move(c.config), c.config_file));
  fill_parameters(model, std::move(c.weights), c.grouping, c.weights_file);
  return model;
}

}  // namespace tarn::lm
