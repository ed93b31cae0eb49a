// An adapter's tensors against a model's matrices: all fit, or one error says what does not.
#include <algorithm>
#include <set>

#include "base/printable.h"
#include "base/require.h"
#include "lm/adapters/content.h"
#include "tarn/ops.h"

namespace tarn::lm {
namespace {

constexpr size_t most_said = 200;

struct Site {
  Target target{};
  int64_t rows = 0, columns = 0;
  nn::Matrix matrix{};  // without terms
};

// What a model offers to adapters.
struct Sites {
  std::map<std::string, Site> matrices{};
  std::map<std::string, Shape> parameters{};  // without the matrices' own
  std::set<std::string> trained{};            // those that full fine-tuning of a layer trains
};

Sites sites_of(Model model) {
  Sites all;
  auto add = [&](const std::string& path, nn::Matrix& m, bool is_table) {
    m.low_rank = {};
    all.matrices[path] = {{path, is_table}, m.rows, m.columns, m};
    if (!m.quantised()) all.trained.insert(path + ".weight");
  };
  std::set<std::string> quantised;
  model.linears([&](const std::string& path, nn::Linear& m) { add(path, m, false); });
  model.embeddings([&](const std::string& path, nn::Embedding& m) { add(path, m, true); });
  model.parameters([&](const std::string& path, array& a) {
    std::string owner = path.substr(0, path.rfind('.')), field = path.substr(owner.size() + 1);
    bool of_matrix = all.matrices.count(owner) > 0;
    if (of_matrix && field != "bias") return;
    all.parameters[path] = a.shape();
    if (!of_matrix || all.trained.count(owner + ".weight") > 0) all.trained.insert(path);
  });
  return all;
}

// Quantised numbers stand for the ones that they were made of.
bool is_what_it_was(const nn::Matrix& m, const array& numbers) {
  return m.quantised() || array_equal(m.dense(), astype(numbers, float32)).item<bool>();
}

std::string shape_text(const Shape& s) { return fmt::format("{}", text_of(s)); }

// Collects what does not fit and puts together what does.
class Fitting {
 public:
  Fitting(const LoRAContainer::Content& content, const Model& model, const std::string& complaint)
      : content_(content), sites_(sites_of(model)), layers_(model.shape().layers) {
    if (!complaint.empty()) say(complaint);
  }

  FittedAdapter run() {
    Chooser chooser = chooser_of(content_, layers_);
    for (const AdapterTensor& t : content_.tensors) {
      if (!issubdtype(t.value.dtype(), floating))
        say(fmt::format("{} is of {}, floating-point numbers are needed.", printable(t.name),
                        name_of(t.value.dtype())));
      else if (t.part == Part::whole)
        take_whole(t);
      else
        parts_[t.path][t.part] = &t;
    }
    for (const auto& [path, site] : sites_.matrices)
      if (auto wanted = chooser(site.target)) ++chosen_, take_term(site, *wanted);
    for (const auto& [path, parts] : parts_)
      for (const auto& [part, tensor] : parts) say_left_over(*tensor);
    check_keys();
    check_whole();
    raise();
    return std::move(result_);
  }

 private:
  void say(std::string text) { said_.push_back(std::move(text)); }

  void raise() const {
    if (said_.empty()) return;
    std::vector<std::string> shown(
        said_.begin(),
        said_.begin() + static_cast<std::ptrdiff_t>(std::min(said_.size(), most_said)));
    std::string rest =
        said_.size() > most_said ? fmt::format(" And {} more.", said_.size() - most_said) : "";
    fail("[adapters] {} does not fit the model: {}{}", called(), joined(shown, " "), rest);
  }
  std::string called() const { return content_.file.empty() ? "the adapter" : content_.file; }
  bool is_peft() const { return content_.form == AdapterForm::peft; }

  // A part of a term of a matrix, as the file should have it.
  struct Expected {
    std::string name{};
    Shape shape{};
  };
  Expected expected(const Site& site, Part part, int64_t rank) const {
    const std::string& path = site.target.path;
    bool table = site.target.is_table;
    if (part == Part::m) return {path + (is_peft() ? ".lora_magnitude_vector" : ".m"), {site.rows}};
    Shape shape = part == Part::a ? Shape{table ? site.rows : site.columns, rank}
                                  : Shape{rank, table ? site.columns : site.rows};
    if (!is_peft()) return {path + (part == Part::a ? ".lora_a" : ".lora_b"), shape};
    std::string name = table ? (part == Part::a ? ".lora_embedding_A" : ".lora_embedding_B")
                             : (part == Part::a ? ".lora_A.weight" : ".lora_B.weight");
    return {"base_model.model." + path + name, {shape[1], shape[0]}};
  }

  // The tensor of a part, or nothing when it is missing or wrong, which is said.
  std::optional<array> part_of(const Site& site, Part part, int64_t rank) {
    Expected e = expected(site, part, rank);
    auto& parts = parts_[site.target.path];
    auto it = parts.find(part);
    if (it == parts.end()) {
      say(fmt::format("{} is missing: shape {} is needed.", e.name, shape_text(e.shape)));
      return std::nullopt;
    }
    const AdapterTensor& t = *it->second;
    parts.erase(it);
    Shape found = t.value.shape(), turned(found.rbegin(), found.rend());
    if (found == e.shape) return contiguous(as_in_mlx(t, content_.form));
    if (turned == e.shape)
      say(fmt::format("{} is transposed: it has shape {}, {} is needed.", printable(t.name),
                      shape_text(found), shape_text(e.shape)));
    else
      say(fmt::format("{} has shape {}, {} is needed.", printable(t.name), shape_text(found),
                      shape_text(e.shape)));
    return std::nullopt;
  }

  void take_term(const Site& site, const Wanted& wanted) {
    if (is_peft() && site.target.is_table && content_.dora())
      return say(
          fmt::format("{} is an embedding, of which PEFT's DoRA gives the columns their "
                      "lengths, not the rows: leave it out of `target_modules`.",
                      site.target.path));
    auto a = part_of(site, Part::a, wanted.rank), b = part_of(site, Part::b, wanted.rank);
    nn::LowRank term{.scale = wanted.scale, .dropout = content_.dropout()};
    if (content_.dora()) {
      term.m = part_of(site, Part::m, wanted.rank);
      if (!term.m) return;
    }
    if (!a || !b) return;
    term.lora_a = *a, term.lora_b = *b;
    // PEFT leaves the output layer that shares an embedding as it was.
    term.in_head = !is_peft();
    (site.target.is_table ? result_.tables : result_.linears)[site.target.path] = term;
  }

  void say_left_over(const AdapterTensor& t) {
    bool known = sites_.matrices.count(t.path) > 0;
    say(fmt::format("{} {}.", printable(t.name),
                    known ? "is of a matrix that the configuration does not name"
                          : "belongs to nothing in the model"));
  }

  void take_whole(const AdapterTensor& t) {
    std::string owner = t.path.substr(0, t.path.rfind('.'));
    bool is_weight = t.path.ends_with(".weight");
    Shape needed;
    if (auto site = sites_.matrices.find(owner); is_weight && site != sites_.matrices.end())
      needed = {site->second.rows, site->second.columns};
    else if (auto it = sites_.parameters.find(t.path); it != sites_.parameters.end())
      needed = it->second;
    else
      return say_left_over(t);
    if (t.value.shape() != needed)
      return say(fmt::format("{} has shape {}, {} is needed.", printable(t.name),
                             shape_text(t.value.shape()), shape_text(needed)));
    if (is_weight && sites_.matrices.count(owner) > 0) {
      if (!t.is_base || !is_what_it_was(sites_.matrices.at(owner).matrix, t.value))
        result_.matrices[owner] = t.value;
    } else {
      result_.parameters[t.path] = t.value;
    }
  }

  // Keys that name nothing are mistakes, not wishes.
  void check_keys() {
    const auto& c = content_.configuration;
    if (is_peft()) {
      check_targets();
      return;
    }
    for (const std::string& key : c.lora_parameters.keys.value_or(std::vector<std::string>()))
      if (!any_matrix(
              [&](const Target& t) { return is_key_of(key, t.path, layers_, c.num_layers); }))
        say(fmt::format("`lora_parameters.keys` has \"{}\", which no matrix of {} is called.",
                        printable(key),
                        c.num_layers > 0 ? fmt::format("the last {} layers", c.num_layers)
                                         : std::string("the model")));
  }
  void check_targets() {
    const PeftConfiguration& p = content_.peft;
    if (chosen_ == 0 && p.modules_to_save.empty())
      say("`target_modules` names no matrix of the model.");
    for (int64_t layer : p.layers)
      if (layer >= layers_)
        say(fmt::format("`layers_to_transform` has layer {}, the model has {}.", layer, layers_));
  }
  template <class Holds>
  bool any_matrix(const Holds& holds) const {
    return std::any_of(sites_.matrices.begin(), sites_.matrices.end(),
                       [&](const auto& entry) { return holds(entry.second.target); });
  }

  bool has_whole(const std::string& path) const {
    return std::any_of(content_.tensors.begin(), content_.tensors.end(),
                       [&](const auto& t) { return t.part == Part::whole && t.path == path; });
  }
  void check_whole() {
    const auto& c = content_.configuration;
    if (!is_peft() && c.fine_tune_type == "full") {
      for (const std::string& path : sites_.trained)
        if (below_layer(path, layers_, c.num_layers) && !has_whole(path))
          say(fmt::format("{} is missing.", path));
      return;
    }
    if (!is_peft()) return;
    for (const std::string& name : content_.peft.modules_to_save) {
      bool found = std::any_of(content_.tensors.begin(), content_.tensors.end(),
                               [&](const AdapterTensor& t) {
                                 PeftConfiguration one{.modules_to_save = {name}};
                                 return t.part == Part::whole &&
                                        is_saved_whole(one, t.path.substr(0, t.path.rfind('.')));
                               });
      if (!found)
        say(fmt::format("`modules_to_save` has \"{}\", and no tensor is of it.", printable(name)));
    }
  }

  const LoRAContainer::Content& content_;
  Sites sites_;
  int64_t layers_;
  std::map<std::string, std::map<Part, const AdapterTensor*>> parts_{};
  int chosen_ = 0;  // matrices that the configuration names
  std::vector<std::string> said_{};
  FittedAdapter result_{};
};

}  // namespace

array as_in_mlx(const AdapterTensor& t, AdapterForm form) {
  bool turned = form == AdapterForm::peft && (t.part == Part::a || t.part == Part::b);
  return turned ? transpose(t.value) : t.value;
}

FittedAdapter fitted(const LoRAContainer::Content& content, const Model& model,
                     const std::string& complaint) {
  return Fitting(content, model, complaint).run();
}

}  // namespace tarn::lm
