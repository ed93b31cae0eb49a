#include "lm/load/room.h"

#include <sys/resource.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <sstream>

#include "base/file.h"
#include "base/printable.h"
#include "base/require.h"
#include "lm/hub/names.h"

namespace tarn::lm {
namespace {

namespace fs = std::filesystem;
using hub::bytes_text;

constexpr uint64_t no_limit = std::numeric_limits<uint64_t>::max();
// Decoding makes at most 6.1 bytes of one (Q2_K as float16); an answer takes little beside weights
// of so many.
constexpr uint64_t times_the_files = 8, beside_them = uint64_t{1} << 30;

// The C library reserves 64 MiB of addresses for each thread that takes memory, and a stack of 8.
constexpr uint64_t addresses_of_threads = uint64_t{144} << 20;

std::string text_of(const fs::path& file) {
  std::ifstream in(file);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

// The number behind `key` in lines "KEY 123" or "KEY: 123 kB"; without a key, the text's own.
std::optional<uint64_t> number_in(const std::string& text, const std::string& key = "") {
  size_t at = 0;
  if (!key.empty()) {
    at = text.starts_with(key) ? 0 : text.find("\n" + key);
    if (at == text.npos) return std::nullopt;
    at = text.find_first_of(" \t", at);
  }
  at = text.find_first_not_of(" \t", at);
  if (at == text.npos) return std::nullopt;
  uint64_t number = 0;
  const char* end = text.data() + text.size();
  auto [rest, error] = std::from_chars(text.data() + at, end, number);
  if (error != std::errc()) return std::nullopt;
  return std::string_view(rest, end).starts_with(" kB") ? number * 1024 : number;
}

// The limit of one control group and what is left of it: pages of files count as used, but go when
// memory is needed.
struct GroupFiles {
  const char *limit, *used, *active, *inactive;
};
constexpr GroupFiles second_version{"memory.max", "memory.current", "active_file", "inactive_file"};
constexpr GroupFiles first_version{"memory.limit_in_bytes", "memory.usage_in_bytes",
                                   "total_active_file", "total_inactive_file"};

std::optional<uint64_t> left_in(const fs::path& group, const GroupFiles& names) {
  auto limit = number_in(text_of(group / names.limit));
  auto used = number_in(text_of(group / names.used));
  if (!limit || !used || *limit >= no_limit / 2) return std::nullopt;
  std::string statistics = text_of(group / "memory.stat");
  for (const char* of_files : {names.active, names.inactive})
    *used -= std::min(*used, number_in(statistics, of_files).value_or(0));
  return *limit - std::min(*limit, *used);
}

// A process's group, and the groups around it, all limit it. A container may see its own group as
// the root.
void limit_by_groups(MemoryRoom& room, const fs::path& mount, std::string group,
                     const GroupFiles& names) {
  for (;;) {
    auto left = left_in(mount / fs::path(group).relative_path(), names);
    if (left && *left < room.memory) {
      room.memory = *left;
      room.memory_limit = "the control group " + printable(group);
    }
    if (group.empty() || group == "/") return;
    group = fs::path(group).parent_path().string();
  }
}

void limit_by_groups(MemoryRoom& room, const fs::path& root) {
  std::istringstream lines(text_of(root / "proc/self/cgroup"));
  for (std::string line; std::getline(lines, line);) {
    size_t first = line.find(':'), second = line.find(':', first + 1);
    if (second == line.npos) continue;
    std::string kinds = line.substr(first + 1, second - first - 1), group = line.substr(second + 1);
    if (kinds.empty()) limit_by_groups(room, root / "sys/fs/cgroup", group, second_version);
    if (("," + kinds + ",").find(",memory,") != std::string::npos)
      limit_by_groups(room, root / "sys/fs/cgroup/memory", group, first_version);
  }
}

uint64_t addresses_of(const MemoryPlan& plan) {
  return plan.own() + plan.mapped + addresses_of_threads;
}

// The files that hold the weights of what load() takes.
std::vector<fs::path> weight_files(const fs::path& path) {
  if (!fs::is_directory(path)) return {path};
  bool is_plain =
      fs::exists(path / "model.safetensors") || fs::exists(path / "model.safetensors.index.json");
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(path)) {
    std::string name = entry.path().filename().string();
    bool is_other = is_plain && !name.starts_with("model");
    if (entry.is_regular_file() && name.ends_with(".safetensors") && !is_other)
      files.push_back(entry.path());
  }
  return files;
}

}  // namespace

MemoryRoom memory_room(const fs::path& root) {
  MemoryRoom room;
  std::string memory = text_of(root / "proc/meminfo");
  if (auto available = number_in(memory, "MemAvailable:")) room.memory = *available;
  limit_by_groups(room, root);
  rlimit limit{};
  auto taken = number_in(text_of(root / "proc/self/status"), "VmSize:");
  if (getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY && taken)
    room.addresses = limit.rlim_cur - std::min<uint64_t>(limit.rlim_cur, *taken);
  return room;
}

bool fits(const MemoryPlan& plan, const MemoryRoom& room) {
  return plan.needed() <= room.memory && addresses_of(plan) <= room.addresses;
}

void require_room(const MemoryPlan& plan, const MemoryRoom& room, const std::string& path) {
  constexpr const char* help =
      "Close other programs, choose a smaller context or a smaller quantisation, or load it all "
      "the same (--force).";
  require<DeviceError>(
      plan.needed() <= room.memory, "[load] {}: needs about {} of memory, {} are free in {}. {}",
      printable(path), bytes_text(plan.needed()), bytes_text(room.memory), room.memory_limit, help);
  uint64_t addresses = addresses_of(plan);
  require<DeviceError>(addresses <= room.addresses,
                       "[load] {}: needs about {} of address space, `ulimit -v` leaves {}. Raise "
                       "it, choose a smaller context or a smaller quantisation, or load it all the "
                       "same (--force).",
                       printable(path), bytes_text(addresses), bytes_text(room.addresses));
}

RoomCheck::RoomCheck(const fs::path& path, const LoadOptions& options)
    : path_(path), options_(options) {
  if (!fs::exists(path)) return;  // the loader says so
  if (!options.force) room_ = options.room ? options.room() : memory_room();
  for (const fs::path& file : weight_files(path)) {
    InputFile in(file.string());
    file_bytes_ += in.size();
    if (!in.only_ours()) copied_bytes_ += in.size();
  }
}

void RoomCheck::of_files() const {
  require_room({.mapped = file_bytes_ - copied_bytes_, .weights = copied_bytes_}, room_,
               path_.string());
}

void RoomCheck::of_weights(const ModelFiles& files) const {
  uint64_t at_most = beside_them + times_the_files * file_bytes_;
  if (at_most <= std::min(room_.memory, room_.addresses)) return;
  require_room(planned(files), room_, path_.string());
}

// Even the plan needs addresses: as many as the largest array takes.
MemoryPlan RoomCheck::planned(const ModelFiles& files) const {
  PlanOptions options{.context = options_.context};
  options.parameters.stop = options_.stop;
  try {
    return plan_of(files, {}, options);
  } catch (const DeviceError& e) {
    throw DeviceError(fmt::format(
        "[load] {}: too little room even to plan it: {} `ulimit -v` leaves {}. Raise it, choose a "
        "smaller quantisation, or load it all the same (--force).",
        printable(path_.string()), e.what(), bytes_text(room_.addresses)));
  }
}

}  // namespace tarn::lm
