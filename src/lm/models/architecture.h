// A model family as a table entry: how config.json names it, and how to make one.
#pragma once

#include <concepts>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "base/json.h"
#include "base/require.h"
#include "tarn/lm/model.h"
#include "tarn/nn/module.h"

namespace tarn::lm {

// A member without a default: `int hidden_size = required`.
struct Required {
  constexpr operator int64_t() const { return std::numeric_limits<int64_t>::min(); }
  constexpr operator float() const { return std::numeric_limits<float>::quiet_NaN(); }
};
inline constexpr Required required;
inline bool is_missing(int64_t v) { return v == std::numeric_limits<int64_t>::min(); }
inline bool is_missing(float v) { return v != v; }
template <class T>
bool is_missing(const T&) {
  return false;
}

template <class T>
void read_field(const Json& from, T& to) {
  if constexpr (nn::detail::is_optional<T>) {
    if (from.is_null()) return;
    typename T::value_type v{};
    read_field(from, v);
    to = std::move(v);
  } else if constexpr (nn::HasFields<T>) {
    T::fields(to, [&](std::string_view name, auto& field) {
      if (auto it = from.find(name); it != from.end()) read_field(*it, field);
    });
  } else if constexpr (std::same_as<T, bool>) {
    to = from.get<bool>();
  } else if constexpr (std::integral<T>) {
    to = static_cast<T>(from.is_number_float() ? static_cast<int64_t>(from.get<double>())
                                               : from.get<int64_t>());
  } else {
    to = from.get<T>();
  }
}

// The members of A by their names in config.json; unknown names are skipped.
template <class A>
A args_from(const Json& config, std::string_view family, const std::string& file) {
  A args{};
  A::fields(args, [&](std::string_view name, auto& field) {
    auto it = config.find(name);
    if (it != config.end() && !it->is_null()) {
      try {
        read_field(*it, field);
      } catch (const Json::exception&) {
        fail<FileError>("[load] {}: `{}` is {}, which {} cannot use.", file, name, it->dump(),
                        family);
      }
    }
    require<FileError>(!is_missing(field), "[load] {} lacks `{}`, which {} needs.", file, name,
                       family);
  });
  return args;
}

template <class M>
struct Held final : AnyModel {
  M m;
  explicit Held(M v) : m(std::move(v)) {}
  array forward(const array& ids, Pass& pass) const override { return m(ids, pass); }
  void parameters(const std::function<void(const std::string&, array&)>& f) override {
    nn::each_parameter(m, f);
  }
  void matrices(const std::function<void(const std::string&, nn::Matrix&)>& f) override {
    auto erased = [&](const std::string& path, auto& matrix) { f(path, matrix); };
    nn::each<nn::Linear>(m, erased);
    nn::each<nn::Embedding>(m, erased);
  }
  void norms(const std::function<void(const std::string&, nn::RMSNorm&)>& f) override {
    nn::each<nn::RMSNorm>(m, f);
  }
  ModelShape shape() const override { return m.shape(); }
  std::unique_ptr<AnyModel> copy() const override { return std::make_unique<Held>(m); }
};

struct Architecture {
  std::string_view model_type;
  Model (*make)(const Json& config, const std::string& file);
};

template <class M, class A>
Architecture architecture(std::string_view model_type) {
  return {model_type, [](const Json& config, const std::string& file) {
            A args = args_from<A>(config, "the architecture", file);
            args.check(file);
            return Model(std::make_unique<Held<M>>(M{args}));
          }};
}

std::span<const Architecture> architectures();

}  // namespace tarn::lm
