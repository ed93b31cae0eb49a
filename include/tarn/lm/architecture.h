// Model families: how config.json names one, and how to make one. A program adds its own with
// register_architecture; examples/own_model.cpp is a whole one.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tarn/lm/config.h"
#include "tarn/lm/model.h"
#include "tarn/nn/module.h"

namespace tarn::lm {

// A module as the interface that every family is erased to. M has operator()(ids, pass) and
// shape(), and lists its parts in TARN_FIELDS.
template <class M>
struct Held final : AnyModel {
  M m{};
  explicit Held(M v) : m(std::move(v)) {}
  array forward(const array& ids, Pass& pass) const override { return m(ids, pass); }
  void parameters(const std::function<void(const std::string&, array&)>& f) override {
    nn::each_parameter(m, f);
  }
  void linears(const std::function<void(const std::string&, nn::Linear&)>& f) override {
    nn::each<nn::Linear>(m, f);
  }
  void embeddings(const std::function<void(const std::string&, nn::Embedding&)>& f) override {
    nn::each<nn::Embedding>(m, f);
  }
  void norms(const std::function<void(const std::string&, nn::RMSNorm&)>& f) override {
    nn::each<nn::RMSNorm>(m, f);
  }
  ModelShape shape() const override { return m.shape(); }
  std::unique_ptr<AnyModel> copy() const override { return std::make_unique<Held>(m); }
};

struct Architecture {
  std::string model_type{};  // as in config.json
  std::function<Model(const Config&)> make{};
  // What a tensor of the checkpoint is called in the model; nothing for one that is not needed.
  // Without it the names are the model's.
  std::function<std::optional<std::string>(const std::string& name)> rename{};
};

// A has the keys of config.json as members, listed in TARN_FIELDS, and check(config), which may
// throw. M is made from it.
template <class M, class A>
Architecture architecture(std::string model_type) {
  auto make = [](const Config& config) {
    A args{};
    read_args(config, args);
    args.check(config);
    return Model(std::make_unique<Held<M>>(M{args}));
  };
  return {.model_type = std::move(model_type), .make = make};
}

// Makes a family known to `load`, or replaces the one of that name. Any thread may call these.
void register_architecture(Architecture architecture);
std::optional<Architecture> find_architecture(const std::string& model_type);
std::vector<std::string> known_model_types();  // sorted

}  // namespace tarn::lm
