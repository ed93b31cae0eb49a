#include "lm/load/config.h"

#include <cmath>
#include <concepts>

#include "base/json_text.h"
#include "base/printable.h"
#include "base/require.h"

namespace tarn::lm {
namespace {

constexpr double exact_integers = 9007199254740992.0;  // 2^53

// Whether `from` is a T, and then that T in `to`.
bool take(const Json& from, bool& to) {
  if (!from.is_boolean()) return false;
  to = from.get<bool>();
  return true;
}
bool take(const Json& from, int64_t& to) {
  if (from.is_number_unsigned() &&
      from.get<uint64_t>() > static_cast<uint64_t>(std::numeric_limits<int64_t>::max()))
    return false;
  if (from.is_number_float()) {  // some configs write 10000.0
    auto number = from.get<double>();
    if (std::trunc(number) != number || std::abs(number) > exact_integers) return false;
    to = static_cast<int64_t>(number);
    return true;
  }
  if (!from.is_number_integer()) return false;
  to = from.get<int64_t>();
  return true;
}
bool take(const Json& from, float& to) {
  if (!from.is_number()) return false;
  auto number = from.get<double>();
  if (!(std::abs(number) <= double{std::numeric_limits<float>::max()})) return false;
  to = static_cast<float>(number);
  return true;
}
bool take(const Json& from, std::string& to) {
  if (!from.is_string()) return false;
  to = from.get<std::string>();
  return true;
}
template <class T>
bool take(const Json& from, std::vector<T>& to) {
  if (!from.is_array()) return false;
  std::vector<T> all;
  for (const Json& one : from)
    if (T value{}; take(one, value))
      all.push_back(std::move(value));
    else
      return false;
  to = std::move(all);
  return true;
}

std::string shortened(const Json& value) {
  std::string text = printable(json_text(value));
  if (text.size() > 60) text.replace(57, std::string::npos, "...");
  return text;
}

const Json* found(const Config::Content& c, std::string_view key) {
  auto it = c.json.find(key);
  return it == c.json.end() || it->is_null() ? nullptr : &*it;
}

template <class T>
bool read_into(const Config& config, std::string_view key, T& to) {
  const Json* value = found(config.content(), key);
  if (!value) return false;
  if (!take(*value, to))
    fail<FileError>("[load] {}: `{}{}` is {}, which {} cannot use.", config.file(),
                    config.content().place, key, shortened(*value), config.model_type());
  return true;
}

}  // namespace

Config config_from(Json object, const std::string& file) {
  tarn::require<FileError>(object.is_object(), "[load] {}: a JSON object is needed.", file);
  return Config(std::make_shared<Config::Content>(Config::Content{std::move(object), file, {}}));
}

Config Config::parse(std::string_view text, const std::string& file) {
  return config_from(parse_json(text, file), file);
}

const std::string& Config::file() const { return content_->file; }
std::string Config::model_type() const {
  auto it = content_->json.find("model_type");
  if (it == content_->json.end() || !it->is_string()) return "the model";
  return printable(it->get<std::string>());
}
bool Config::has(std::string_view key) const { return found(*content_, key) != nullptr; }

bool Config::read(std::string_view key, bool& to) const { return read_into(*this, key, to); }
bool Config::read(std::string_view key, int64_t& to) const { return read_into(*this, key, to); }
bool Config::read(std::string_view key, float& to) const { return read_into(*this, key, to); }
bool Config::read(std::string_view key, std::string& to) const { return read_into(*this, key, to); }
bool Config::read(std::string_view key, std::vector<int64_t>& to) const {
  return read_into(*this, key, to);
}
bool Config::read(std::string_view key, std::vector<float>& to) const {
  return read_into(*this, key, to);
}
bool Config::read(std::string_view key, std::vector<std::string>& to) const {
  return read_into(*this, key, to);
}

std::optional<Config> Config::object(std::string_view key) const {
  const Json* value = found(*content_, key);
  if (!value) return std::nullopt;
  if (!value->is_object())
    fail<FileError>("[load] {}: `{}{}` is {}, not an object.", file(), content_->place, key,
                    shortened(*value));
  Content inner{*value, file(), content_->place + std::string(key) + "."};
  return Config(std::make_shared<Content>(std::move(inner)));
}

Config Config::with_defaults(std::string_view defaults) const {
  Content merged = *content_;
  Json others = parse_json(defaults, "the defaults");
  for (const auto& [key, value] : others.items())
    if (!has(key)) merged.json[key] = value;
  return Config(std::make_shared<Content>(std::move(merged)));
}

void Config::fail_without(std::string_view key) const {
  fail<FileError>("[load] {} lacks `{}{}`, which {} needs.", file(), content_->place, key,
                  model_type());
}
void Config::require(bool ok, const std::string& what) const {
  if (!ok) fail<FileError>("[load] {}: {}", file(), what);
}

}  // namespace tarn::lm
