#include "lm/train/checkpoint.h"

#include <unistd.h>

#include <algorithm>
#include <charconv>

#include "base/json.h"
#include "base/printable.h"
#include "base/require.h"
#include "tarn/io.h"

namespace tarn::lm {
namespace {

namespace fs = std::filesystem;
constexpr const char* form = "tarn-training-1";
constexpr size_t kept = 2;

std::optional<int64_t> step_of(const fs::path& file) {
  std::string name = file.filename().string();
  if (!name.starts_with("step-") || !name.ends_with(".safetensors")) return std::nullopt;
  std::string_view digits = std::string_view(name).substr(5, name.size() - 5 - 12);
  int64_t step = 0;
  auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), step);
  if (error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  return step;
}

// Newest first.
std::vector<std::pair<int64_t, fs::path>> checkpoints(const fs::path& folder) {
  std::vector<std::pair<int64_t, fs::path>> all;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error))
    if (auto step = step_of(entry.path())) all.emplace_back(*step, entry.path());
  std::sort(all.rbegin(), all.rend());
  return all;
}

Json numbers_of(const TrainState& s) {
  return {{"step", s.step},           {"epoch", s.epoch},
          {"batch", s.batch},         {"best_step", s.best_step},
          {"best_loss", s.best_loss}, {"valid_loss", s.valid_loss},
          {"loss", s.loss},           {"waited", s.evaluations_without_gain}};
}

void read_numbers(const Json& json, TrainState& s) {
  json.at("step").get_to(s.step);
  json.at("epoch").get_to(s.epoch);
  json.at("batch").get_to(s.batch);
  json.at("best_step").get_to(s.best_step);
  json.at("best_loss").get_to(s.best_loss);
  json.at("valid_loss").get_to(s.valid_loss);
  json.at("loss").get_to(s.loss);
  json.at("waited").get_to(s.evaluations_without_gain);
}

// What differs between two courses, "learning_rate 0.001 there, 0.002 now".
std::string difference(const std::string& there, const std::string& now, const std::string& file) {
  Json a = parse_json(there, file), b = parse_json(now, "the options");
  for (const auto& [name, value] : b.items())
    if (!a.contains(name) || a.at(name) != value)
      return fmt::format("{} is {} there and {} now", name,
                         a.contains(name) ? a.at(name).dump() : "not known", value.dump());
  return "it has more options than are known here";
}

NamedParameters take_part(std::unordered_map<std::string, array>& arrays, std::string_view prefix) {
  NamedParameters part;
  for (auto& [name, a] : arrays)
    if (name.starts_with(prefix)) part.emplace(name.substr(prefix.size()), a);
  return part;
}

void check_parameters(const NamedParameters& read, const NamedParameters& like,
                      const std::string& file) {
  for (const auto& [path, a] : like) {
    auto it = read.find(path);
    require<FileError>(
        it != read.end() && it->second.shape() == a.shape() && it->second.dtype() == a.dtype(),
        "[train] {}: {} is missing or of another shape or dtype; the model needs "
        "{}. Take another folder, or the model that the run began with.",
        file, path, text_of(a.shape()));
  }
  require<FileError>(read.size() == like.size(),
                     "[train] {}: it has {} parameters; the model trains {}.", file, read.size(),
                     like.size());
}

// It was written whole: what can be opened and not read is damaged, and cannot be fetched again.
auto whole_file(const fs::path& path, std::string_view fix) {
  try {
    return load_safetensors(path.string());
  } catch (const FileError&) {
    if (access(path.c_str(), R_OK) != 0) throw;
    fail<FileError>("[train] {}: this checkpoint is cut off or damaged. {}",
                    printable(path.string(), 4096), fix);
  }
}

TrainState read_checkpoint(const fs::path& path, const NamedParameters& like,
                           const std::string& course, std::string_view fix) {
  std::string file = printable(path.string(), 4096);
  auto [arrays, metadata] = whole_file(path, fix);
  require<FileError>(metadata["format"] == form,
                     "[train] {}: it is no checkpoint of a training run. Take another folder.",
                     file);
  if (metadata["course"] != course)
    fail<FileError>(
        "[train] {}: it belongs to another run: {}. Give the same options to go on, or "
        "take another folder.",
        file, difference(metadata["course"], course, path.string()));
  TrainState state;
  try {
    read_numbers(parse_json(metadata["state"], path.string()), state);
  } catch (const Json::exception& error) {
    fail<FileError>("[train] {}: its state cannot be read ({}). {}", file, printable(error.what()),
                    fix);
  }
  state.parameters = take_part(arrays, "parameters.");
  state.best = take_part(arrays, "best.");
  state.optimizer = take_part(arrays, "optimizer.");
  check_parameters(state.parameters, like, file);
  if (!state.best.empty()) check_parameters(state.best, like, file);
  return state;
}

}  // namespace

bool has_checkpoint(const fs::path& folder) { return !checkpoints(folder).empty(); }

fs::path checkpoint_file(const fs::path& folder, int64_t step) {
  return folder / fmt::format("step-{:08}.safetensors", step);
}

void save_checkpoint(const fs::path& folder, const TrainState& state, const std::string& course) {
  std::unordered_map<std::string, array> arrays;
  for (const auto& [path, a] : state.parameters) arrays.emplace("parameters." + path, a);
  for (const auto& [path, a] : state.best) arrays.emplace("best." + path, a);
  for (const auto& [path, a] : state.optimizer) arrays.emplace("optimizer." + path, a);
  save_safetensors(checkpoint_file(folder, state.step).string(), arrays,
                   {{"format", form}, {"course", course}, {"state", numbers_of(state).dump()}});
  auto all = checkpoints(folder);
  std::error_code ignored;  // an old one more does no harm
  for (size_t i = kept; i < all.size(); ++i) fs::remove(all[i].second, ignored);
}

std::optional<TrainState> load_checkpoint(const fs::path& folder, const NamedParameters& like,
                                          const std::string& course) {
  auto all = checkpoints(folder);
  if (all.empty()) return std::nullopt;
  return read_checkpoint(all.front().second, like, course,
                         all.size() > 1 ? "Remove it; the one before is used then."
                                        : "There is no other one: take another folder.");
}

}  // namespace tarn::lm
