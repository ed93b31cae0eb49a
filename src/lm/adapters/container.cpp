// Adapters in models: put in, taken out, folded in.
#include <algorithm>
#include <cmath>

#include "base/printable.h"
#include "base/require.h"
#include "lm/adapters/content.h"
#include "lm/session/session.h"
#include "tarn/nn/quantize.h"
#include "tarn/ops.h"
#include "tarn/random.h"

namespace tarn::lm {
namespace {

using Content = LoRAContainer::Content;

std::string quoted(const std::string& name) { return "\"" + printable(name) + "\""; }

template <class Models>
auto find_adapter(Models& model, const std::string& name) {
  return std::find_if(model.adapters.begin(), model.adapters.end(),
                      [&](const LoadedAdapter& a) { return a.name == name; });
}

// What DoRA knows of a weight that is no longer there.
void forget_weight(nn::Matrix& m) {
  for (nn::LowRank& t : m.low_rank.terms) t.squares.reset(), t.settled = nullptr;
}

void settle_all(Model& model) {
  std::vector<array> made;
  auto settle = [&](const std::string&, auto& layer) {
    if (layer.low_rank.empty()) return;
    auto more = nn::settle(layer);
    made.insert(made.end(), more.begin(), more.end());
  };
  model.linears(settle), model.embeddings(settle);
  eval(made);
}

void put_whole(Model& model, const FittedAdapter& from, LoadedAdapter& entry) {
  model.matrices([&](const std::string& path, nn::Matrix& m) {
    auto it = from.matrices.find(path);
    if (it == from.matrices.end()) return;
    nn::Matrix before = m;
    before.low_rank = {};
    entry.replaced_matrices.emplace(path, before);
    m.weight = it->second, m.scales = m.biases = std::nullopt;
    forget_weight(m);
  });
  model.parameters([&](const std::string& path, array& a) {
    auto it = from.parameters.find(path);
    if (it == from.parameters.end()) return;
    entry.replaced_parameters.emplace(path, a);
    a = it->second;
  });
}

void put_terms(Model& model, const FittedAdapter& from, const LoadedAdapter& entry) {
  auto put_of = [&](const std::map<std::string, nn::LowRank>& terms) {
    return [&](const std::string& path, nn::Matrix& m) {
      auto it = terms.find(path);
      if (it == terms.end()) return;
      nn::LowRank t = it->second;
      t.adapter = entry.name, t.weight = entry.weight, t.on_request = entry.on_request;
      m.low_rank.terms.push_back(std::move(t));
    };
  };
  model.linears(put_of(from.linears)), model.embeddings(put_of(from.tables));
}

void restore(Model& model, const LoadedAdapter& entry) {
  model.matrices([&](const std::string& path, nn::Matrix& m) {
    std::erase_if(m.low_rank.terms, [&](const auto& t) { return t.adapter == entry.name; });
    if (m.low_rank.empty()) m.low_rank = {};
    auto it = entry.replaced_matrices.find(path);
    if (it == entry.replaced_matrices.end()) return;
    nn::LowRanks others = m.low_rank;
    m = it->second;
    m.low_rank = std::move(others);
    forget_weight(m);
  });
  model.parameters([&](const std::string& path, array& a) {
    if (auto it = entry.replaced_parameters.find(path); it != entry.replaced_parameters.end())
      a = it->second;
  });
}

void check_place(const LanguageModel& model, const LoadedAdapter& entry,
                 const FittedAdapter& fitted) {
  require(
      find_adapter(model, entry.name) == model.adapters.end(),
      "[adapters] an adapter named {} is in the model already. Unload it, or give another name.",
      quoted(entry.name));
  require(std::isfinite(entry.weight), "[adapters] the weight of {} is {}; a number is needed.",
          quoted(entry.name), entry.weight);
  require(!entry.on_request || !entry.name.empty(),
          "[adapters] an adapter on request needs a name to be asked for by.");
  if (!fitted.has_whole()) return;
  require(!entry.on_request,
          "[adapters] {} replaces whole parameters, which answers cannot choose. Load it for all, "
          "not on request.",
          quoted(entry.name));
  require(entry.weight == 1,
          "[adapters] {} replaces whole parameters, which have no weight: it is {}, 1 is needed.",
          quoted(entry.name), entry.weight);
  auto taken = [&](const auto& ours, auto replaced) {
    for (const auto& [path, a] : ours)
      for (const LoadedAdapter& other : model.adapters)
        require((other.*replaced).count(path) == 0,
                "[adapters] {} replaces {}, which {} replaced already.", quoted(entry.name), path,
                quoted(other.name));
  };
  taken(fitted.matrices, &LoadedAdapter::replaced_matrices);
  taken(fitted.parameters, &LoadedAdapter::replaced_parameters);
}

// Folds a term into a weight, quantised as before unless it is to stay dense.
template <class L>
void fuse_into(L& layer, const nn::LowRank& term, const FuseOptions& options) {
  L own = layer;
  own.low_rank = {};
  own.low_rank.terms = {term};
  own.low_rank.terms[0].weight = options.weight;
  nn::put_dense(layer, nn::fused(own), !options.dequantize);
  forget_weight(layer);
}

void fuse_all(Model& model, const FittedAdapter& from, const FuseOptions& options) {
  LoadedAdapter gone;  // what was replaced is not kept
  put_whole(model, from, gone);
  model.linears([&](const std::string& path, nn::Linear& l) {
    if (auto it = from.linears.find(path); it != from.linears.end())
      fuse_into(l, it->second, options);
  });
  model.embeddings([&](const std::string& path, nn::Embedding& e) {
    if (auto it = from.tables.find(path); it != from.tables.end())
      fuse_into(e, it->second, options);
  });
}

void eval_parameters(Model& model) {
  std::vector<array> all;
  model.parameters([&](const std::string&, array& a) { all.push_back(a); });
  eval(all);
}

// Fresh terms, named as mlx-lm names them.
void draw_terms(Content& c, Model model, uint64_t seed) {
  Chooser chooser = chooser_of(c, model.shape().layers);
  random::KeySequence keys(seed);
  auto draw = [&](const std::string& path, auto& layer) {
    bool is_table = std::is_same_v<std::remove_cvref_t<decltype(layer)>, nn::Embedding>;
    auto wanted = chooser({path, is_table});
    if (!wanted) return;
    auto t = nn::LowRank::init(layer, wanted->rank, keys.next(), c.dora());
    auto add = [&](const char* end, Part part, const array& value) {
      c.tensors.push_back({.name = path + end, .path = path, .part = part, .value = value});
    };
    add(".lora_a", Part::a, t.lora_a), add(".lora_b", Part::b, t.lora_b);
    if (t.m) add(".m", Part::m, *t.m);
  };
  model.linears(draw), model.embeddings(draw);
}

void take_layers(Content& c, Model model) {
  int64_t layers = model.shape().layers;
  std::map<std::string, bool> quantised;
  model.matrices([&](const std::string& path, nn::Matrix& m) { quantised[path] = m.quantised(); });
  model.parameters([&](const std::string& path, array& a) {
    auto owner = quantised.find(path.substr(0, path.rfind('.')));
    bool trains = owner == quantised.end() || !owner->second;
    if (trains && below_layer(path, layers, c.configuration.num_layers))
      c.tensors.push_back({.name = path, .path = path, .value = a});
  });
}

Model without_adapters(const LanguageModel& model) {
  Model bare = model.model;
  for (const LoadedAdapter& a : model.adapters) restore(bare, a);
  return bare;
}

// The adapter in the terms of `model`, which is that of `whole`: another base does not fit either.
template <class Whole>
FittedAdapter fitted_to(const Whole& whole, const Model& model, const Content& c, bool any_base) {
  std::string found = c.base.empty() || any_base ? c.base : base_of(whole);
  if (found == c.base) return fitted(c, model, "");
  return fitted(c, model,
                fmt::format("It was made for a model with the fingerprint {}, this one has {}. "
                            "Take that model, or any_base (--any-base) to use it all the same.",
                            printable(c.base), found));
}

template <class Whole>
FittedAdapter to_be_fused(const Whole& whole, const Model& model, const Content& c,
                          const FuseOptions& o) {
  return o.base ? fitted_to(*o.base, model, c, o.any_base) : fitted_to(whole, model, c, o.any_base);
}

}  // namespace

std::string base_of(const Model& model) {
  Model bare = model;
  bare.matrices([](const std::string&, nn::Matrix& m) { m.low_rank = {}; });
  return fingerprint(bare);
}
std::string base_of(const LanguageModel& model) { return base_of(without_adapters(model)); }

LoRAContainer LoRAContainer::from(const LanguageModel& model,
                                  const LoRAConfiguration& configuration, uint64_t seed) {
  const auto& p = configuration.lora_parameters;
  const std::string& type = configuration.fine_tune_type;
  require(type == "lora" || type == "dora" || type == "full",
          "[adapters] fine_tune_type is {}; lora, dora and full are known.", quoted(type));
  require(p.rank > 0, "[adapters] the rank is {}; it must be positive.", p.rank);
  require(std::isfinite(p.scale), "[adapters] the scale is {}; a number is needed.", p.scale);
  require(p.dropout >= 0 && p.dropout < 1, "[adapters] the dropout is {}; it lies in [0, 1).",
          p.dropout);
  auto c = std::make_shared<Content>();
  c->configuration = configuration;
  Model bare = without_adapters(model);
  if (type == "full")
    take_layers(*c, bare);
  else
    draw_terms(*c, bare, seed);
  fitted(*c, bare, "");
  c->base = base_of(bare);
  return LoRAContainer(std::move(c));
}

LoRAContainer LoRAContainer::updated_from(const LanguageModel& model,
                                          const std::string& name) const {
  require(find_adapter(model, name) != model.adapters.end(),
          "[adapters] the model has no adapter {}.", quoted(name));
  auto c = std::make_shared<Content>(*content_);
  std::map<std::string, const nn::LowRank*> terms;
  std::map<std::string, array> parameters;
  Model now = model.model;
  now.matrices([&](const std::string& path, nn::Matrix& m) {
    for (const nn::LowRank& t : m.low_rank.terms)
      if (t.adapter == name) terms[path] = &t;
  });
  now.parameters([&](const std::string& path, array& a) { parameters.emplace(path, a); });
  for (AdapterTensor& t : c->tensors) {
    auto term = terms.find(t.path);
    require(t.part == Part::whole || term != terms.end(),
            "[adapters] {} of the model has no term for {}.", quoted(name), t.path);
    if (t.part == Part::whole)
      t.value = parameters.at(t.path);
    else if (t.part == Part::m)
      t.value = *term->second->m;
    else
      t.value =
          as_in_mlx({.part = t.part,
                     .value = t.part == Part::a ? term->second->lora_a : term->second->lora_b},
                    c->form);
  }
  return LoRAContainer(std::move(c));
}

const std::string& LoRAContainer::name() const { return content_->name; }
const LoRAConfiguration& LoRAContainer::configuration() const { return content_->configuration; }
size_t LoRAContainer::nbytes() const {
  size_t sum = 0;
  for (const AdapterTensor& t : content_->tensors) sum += t.value.nbytes();
  return sum;
}

bool LoRAContainer::replaces_parameters() const {
  return std::any_of(content_->tensors.begin(), content_->tensors.end(),
                     [](const AdapterTensor& t) { return t.part == Part::whole && !t.is_base; });
}

void LoRAContainer::load(LanguageModel& model, const AdapterPlace& place) const {
  LoadedAdapter entry{.name = place.name.empty() ? content_->name : place.name,
                      .weight = place.weight,
                      .on_request = place.on_request};
  FittedAdapter from = fitted_to(model, model.model, *content_, place.any_base);
  check_place(model, entry, from);
  Model next = model.model;
  put_whole(next, from, entry);
  put_terms(next, from, entry);
  settle_all(next);
  model.adapters.push_back(std::move(entry));
  model.model = std::move(next);
}

void LoRAContainer::unload(LanguageModel& model) const { unload_adapter(model, content_->name); }

void LoRAContainer::fuse(LanguageModel& model, const FuseOptions& options) const {
  FittedAdapter from = to_be_fused(model, model.model, *content_, options);
  Model next = model.model;
  fuse_all(next, from, options);
  settle_all(next);
  eval_parameters(next);
  model.model = std::move(next);
}
void LoRAContainer::fuse(Model& model, const FuseOptions& options) const {
  FittedAdapter from = to_be_fused(model, model, *content_, options);
  fuse_all(model, from, options);
}

void unload_adapter(LanguageModel& model, const std::string& name) {
  auto it = find_adapter(model, name);
  require(it != model.adapters.end(), "[adapters] the model has no adapter {}.", quoted(name));
  Model next = model.model;
  restore(next, *it);
  settle_all(next);
  model.model = std::move(next);
  model.adapters.erase(it);
}

void set_adapter_weight(LanguageModel& model, const std::string& name, float weight) {
  auto it = find_adapter(model, name);
  require(it != model.adapters.end(), "[adapters] the model has no adapter {}.", quoted(name));
  require(std::isfinite(weight), "[adapters] the weight of {} is {}; a number is needed.",
          quoted(name), weight);
  require(weight == 1 || (it->replaced_matrices.empty() && it->replaced_parameters.empty()),
          "[adapters] {} replaces whole parameters, which have no weight: it is {}, 1 is needed.",
          quoted(name), weight);
  Model next = model.model;
  next.matrices([&](const std::string&, nn::Matrix& m) {
    for (nn::LowRank& t : m.low_rank.terms)
      if (t.adapter == name) t.weight = weight;
  });
  settle_all(next);
  it->weight = weight;
  model.model = std::move(next);
}

}  // namespace tarn::lm
