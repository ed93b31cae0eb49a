// A model's config.json, read key by key, with errors that name file and key.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tarn/fields.h"
#include "tarn/tree_walk.h"

namespace tarn::lm {

// A JSON object with the name of its file. Copies share it.
class Config {
 public:
  // Throws FileError for a text that is not one JSON object.
  static Config parse(std::string_view text, const std::string& file);

  const std::string& file() const;
  std::string model_type() const;        // for errors: "the model" where the config does not say
  bool has(std::string_view key) const;  // there, and not null
  // The value of a key when there is one. Throws FileError when it is of another type.
  bool read(std::string_view key, bool& to) const;
  bool read(std::string_view key, int64_t& to) const;
  bool read(std::string_view key, float& to) const;
  bool read(std::string_view key, std::string& to) const;
  bool read(std::string_view key, std::vector<int64_t>& to) const;
  bool read(std::string_view key, std::vector<float>& to) const;
  bool read(std::string_view key, std::vector<std::string>& to) const;
  std::optional<Config> object(std::string_view key) const;
  // The same with the keys of the JSON object `defaults` that this one lacks.
  Config with_defaults(std::string_view defaults) const;
  [[noreturn]] void fail_without(std::string_view key) const;
  // Throws FileError "[load] FILE: WHAT" unless `ok`.
  void require(bool ok, const std::string& what) const;

  struct Content;
  explicit Config(std::shared_ptr<const Content> content) : content_(std::move(content)) {}
  const Content& content() const { return *content_; }

 private:
  std::shared_ptr<const Content> content_;
};

// A member without a default: `int64_t hidden_size = required`.
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

// Gives the members in A's TARN_FIELDS the values of their names; unknown names are skipped.
template <HasFields A>
void read_args(const Config& config, A& args) {
  auto one = [&](std::string_view name, auto& field) {
    using T = std::remove_cvref_t<decltype(field)>;
    if constexpr (HasFields<T>) {
      if (auto inner = config.object(name)) read_args(*inner, field);
    } else if constexpr (tarn::detail::is_optional<T>) {
      typename T::value_type value{};
      if constexpr (HasFields<typename T::value_type>) {
        auto inner = config.object(name);
        if (inner) read_args(*inner, value), field = std::move(value);
      } else if (config.read(name, value)) {
        field = std::move(value);
      }
    } else {
      config.read(name, field);
      if (is_missing(field)) config.fail_without(name);
    }
  };
  A::fields(args, one);
}

}  // namespace tarn::lm
