#include "tarn/lm/model_registry.h"

#include "base/json.h"
#include "io/atomic_write.h"
#include "lm/hub/names.h"

namespace tarn::lm {

using namespace hub;
namespace fs = std::filesystem;

namespace {

constexpr size_t longest_lock_file = size_t{64} << 20;
constexpr int known_version = 1;
constexpr size_t longest_name = 256;

// Members of one object of the file, read with errors that say where they are missing.
struct Place {
  const std::string& file;
  std::string name;

  template <class... Args>
  [[noreturn]] void refuse(fmt::format_string<Args...> text, Args&&... args) const {
    fail<FileError>("[registry] {}: {}: {}. Correct it, or write it again with `tarn pull --lock`.",
                    file, printable(name), fmt::format(text, std::forward<Args>(args)...));
  }
  const Json& member(const Json& object, const char* key) const {
    auto it = object.is_object() ? object.find(key) : object.end();
    if (it == object.end()) refuse("there is no `{}`", key);
    return *it;
  }
  std::string text(const Json& object, const char* key) const {
    const Json& value = member(object, key);
    if (!value.is_string()) refuse("`{}` is not a text", key);
    return value.get<std::string>();
  }
  // None where there is no such member.
  std::vector<std::string> texts(const Json& object, const char* key) const {
    std::vector<std::string> all;
    if (!object.contains(key)) return all;
    const Json& list = object[key];
    if (!list.is_array()) refuse("`{}` is not a list of texts", key);
    for (const Json& one : list) {
      if (!one.is_string()) refuse("`{}` is not a list of texts", key);
      all.push_back(one.get<std::string>());
    }
    return all;
  }
};

HubFile read_file_entry(const Place& place, const std::string& name, const Json& entry) {
  HubFile f;
  f.name = name;
  if (auto fault = fault_of_file_name(name))
    place.refuse("\"{}\" cannot be a file: {}", printable(name), *fault);
  const Json& bytes = place.member(entry, "bytes");
  if (!bytes.is_number_unsigned()) place.refuse("`bytes` of {} is not a size", name);
  f.bytes = bytes.get<uint64_t>();
  bool is_lfs = entry.contains("sha256");
  (is_lfs ? f.sha256 : f.git_sha1) = place.text(entry, is_lfs ? "sha256" : "git-sha1");
  if (is_lfs ? !is_sha256(f.sha256) : !is_commit(f.git_sha1))
    place.refuse("{} has no hash of {} hexadecimal digits", name, is_lfs ? 64 : 40);
  return f;
}

ModelConfiguration read_model(const Place& place, const Json& entry) {
  ModelConfiguration model;
  model.id = place.text(entry, "id");
  model.revision = place.text(entry, "revision");
  model.commit = place.text(entry, "commit");
  if (entry.contains("file")) model.file = place.text(entry, "file");
  model.extra_eos_tokens = place.texts(entry, "extra_eos_tokens");
  model.stop_strings = place.texts(entry, "stop_strings");
  if (!is_commit(model.commit)) place.refuse("`commit` is not 40 hexadecimal digits");
  try {
    check_id(model.id);
    check_revision(model.revision);
  } catch (const HubError& error) {
    place.refuse("{}", error.what());
  }
  const Json& files = place.member(entry, "files");
  if (!files.is_object() || files.empty()) place.refuse("`files` names no file");
  for (const auto& [name, file] : files.items())
    model.files.push_back(read_file_entry(place, name, file));
  return model;
}

OrderedJson entry_of(const std::string& name, const ModelConfiguration& model) {
  require(!model.id.empty() && !model.commit.empty() && !model.files.empty(),
          "[registry] {} is not pinned: it has no {}. Pin it with HubClient::pin.", name,
          model.id.empty() ? "id" : "commit and files");
  require(
      printable(name, longest_name) == name && !name.empty(),
      "[registry] \"{}\" cannot be the name of a model: it is empty, longer than {} bytes or not "
      "printable.",
      printable(name), longest_name);
  OrderedJson entry = {{"id", model.id}, {"revision", model.revision}, {"commit", model.commit}};
  if (!model.file.empty()) entry["file"] = model.file;
  if (!model.extra_eos_tokens.empty()) entry["extra_eos_tokens"] = model.extra_eos_tokens;
  if (!model.stop_strings.empty()) entry["stop_strings"] = model.stop_strings;
  OrderedJson& files = entry["files"] = OrderedJson::object();
  for (const HubFile& f : model.files) {
    OrderedJson& file = files[f.name] = {{"bytes", f.bytes}};
    file[f.sha256.empty() ? "git-sha1" : "sha256"] = f.blob();
  }
  return entry;
}

}  // namespace

ModelRegistry ModelRegistry::read(const fs::path& path) {
  std::string file = path.string();
  Json json = load_json(file, longest_lock_file);
  Place top{file, "the top"};
  const Json& version = top.member(json, "version");
  require<FileError>(version == known_version,
                     "[registry] {}: version {} is not one that this build reads: {}.", file,
                     printable(version.dump()), known_version);
  const Json& models = top.member(json, "models");
  if (!models.is_object()) top.refuse("`models` is not an object");
  ModelRegistry registry;
  for (const auto& [name, entry] : models.items())
    registry.add(name, read_model(Place{file, name}, entry));
  return registry;
}

void ModelRegistry::write(const fs::path& path) const {
  OrderedJson json = {{"version", known_version}, {"models", OrderedJson::object()}};
  for (const auto& [name, model] : models_) json["models"][name] = entry_of(name, model);
  io::AtomicFile file(path.string());
  file.write(json.dump(2) + "\n");
  file.commit();
}

void ModelRegistry::add(const std::string& name, ModelConfiguration model) {
  models_.insert_or_assign(name, std::move(model));
}

const ModelConfiguration* ModelRegistry::find(std::string_view name) const {
  auto it = models_.find(name);
  return it == models_.end() ? nullptr : &it->second;
}

ModelConfiguration ModelRegistry::configuration(std::string_view text) const {
  const ModelConfiguration* known = find(text);
  return known ? *known : ModelConfiguration::parse(text);
}

std::vector<std::string> ModelRegistry::names() const {
  std::vector<std::string> names;
  for (const auto& model : models_) names.push_back(model.first);
  return names;
}

}  // namespace tarn::lm
