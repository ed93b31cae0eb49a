#include "lm/hub/names.h"

#include <utf8proc.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <unordered_map>

namespace tarn::lm::hub {
namespace {

constexpr size_t longest_id = 96;     // the hub's own limit
constexpr size_t longest_name = 512;  // of a whole path in a repository
constexpr size_t longest_part = 240;  // of a folder or file: 255 on most disks, less what is added

bool is_alphanumeric(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool is_hex(std::string_view text, size_t digits) {
  return text.size() == digits && text.find_first_not_of("0123456789abcdef") == text.npos;
}

bool is_id_part(std::string_view part) {
  auto is_edge = [](char c) { return c == '-' || c == '.'; };
  if (part.empty() || is_edge(part.front()) || is_edge(part.back())) return false;
  return std::all_of(part.begin(), part.end(),
                     [](char c) { return is_alphanumeric(c) || c == '-' || c == '.' || c == '_'; });
}

bool is_id(std::string_view id) {
  size_t slash = id.find('/');
  if (id.size() > longest_id || id.find("--") != id.npos || id.find("..") != id.npos ||
      id.ends_with(".git"))
    return false;
  if (slash == id.npos) return is_id_part(id);
  return is_id_part(id.substr(0, slash)) && is_id_part(id.substr(slash + 1));
}

// The parts of a path between slashes.
std::vector<std::string_view> parts_of(std::string_view path) {
  std::vector<std::string_view> parts;
  for (;;) {
    size_t slash = path.find('/');
    parts.push_back(path.substr(0, slash));
    if (slash == path.npos) return parts;
    path.remove_prefix(slash + 1);
  }
}

// The name as a file system without upper and lower case sees it. Valid UTF-8 only.
std::string case_folded(const std::string& name) {
  std::unique_ptr<utf8proc_uint8_t, decltype(&std::free)> folded(
      utf8proc_NFKC_Casefold(reinterpret_cast<const utf8proc_uint8_t*>(name.c_str())), &std::free);
  return folded ? std::string(reinterpret_cast<const char*>(folded.get())) : name;
}

}  // namespace

void check_id(std::string_view id) {
  if (is_id(id)) return;
  refuse(
      HubReason::bad_name,
      "[hub] \"{}\" is not the id of a model. Needed is `organisation/name`: letters, digits and "
      "-._ inside, at most {} characters.",
      printable(id), longest_id);
}

void check_revision(std::string_view revision) {
  if (!fault_of_file_name(revision) && revision.find(' ') == revision.npos) return;
  refuse(HubReason::bad_name,
         "[hub] \"{}\" is not a revision. Give a branch, a tag or a commit of 40 hexadecimal "
         "digits.",
         printable(revision));
}

std::optional<std::string> fault_of_file_name(std::string_view name) {
  if (name.empty()) return "it is empty";
  if (name.size() > longest_name)
    return fmt::format("it has {} bytes and may have {}", name.size(), longest_name);
  if (name.find('\0') != name.npos) return "it holds a NUL byte";
  if (name.find('\\') != name.npos) return "it holds a backslash";
  if (name.front() == '/') return "it begins at the root of the disk";
  if (printable(name, longest_name) != name) return "it holds bytes that are not printable text";
  for (std::string_view part : parts_of(name)) {
    if (part == "..") return "it leaves its folder";
    if (part.empty() || part == ".") return "a part of it is empty or a dot";
    if (part.size() > longest_part)
      return fmt::format("a part of it has {} bytes and may have {}", part.size(), longest_part);
  }
  return std::nullopt;
}

std::optional<std::pair<std::string, std::string>> colliding_names(
    const std::vector<std::string>& names) {
  std::unordered_map<std::string, std::string> seen;  // folded, as it is written
  for (const std::string& name : names) {
    auto [it, is_new] = seen.emplace(case_folded(name), name);
    if (!is_new) return std::pair(it->second, name);
  }
  for (const std::string& name : names)
    for (size_t slash = name.find('/'); slash != name.npos; slash = name.find('/', slash + 1))
      if (auto it = seen.find(case_folded(name.substr(0, slash))); it != seen.end())
        return std::pair(it->second, name);
  return std::nullopt;
}

bool is_commit(std::string_view text) { return is_hex(text, 40); }
bool is_sha256(std::string_view text) { return is_hex(text, 64); }

std::string folder_of_id(std::string_view id) {
  std::string folder = "models--" + std::string(id);
  if (size_t slash = folder.find('/'); slash != folder.npos) folder.replace(slash, 1, "--");
  return folder;
}

std::optional<std::string> id_of_folder(std::string_view folder) {
  if (!folder.starts_with("models--")) return std::nullopt;
  std::string id(folder.substr(8));
  if (size_t dashes = id.find("--"); dashes != id.npos) id.replace(dashes, 2, "/");
  if (!is_id(id)) return std::nullopt;
  return id;
}

bool matches(std::string_view pattern, std::string_view name) {
  // Where to go on when what follows the last * does not fit: one character further.
  size_t p = 0, n = 0, star = pattern.npos, after = 0;
  while (n < name.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      after = n;
    } else if (p < pattern.size() &&
               (pattern[p] == name[n] || (pattern[p] == '?' && name[n] != '/'))) {
      ++p, ++n;
    } else if (star != pattern.npos && name[after] != '/') {
      p = star + 1;
      n = ++after;
    } else {
      return false;
    }
  }
  return pattern.find_first_not_of('*', p) == pattern.npos;
}

std::string url_escaped(std::string_view text, bool keep_slash) {
  constexpr char hex[] = "0123456789ABCDEF";
  std::string out;
  for (char c : text) {
    auto byte = static_cast<unsigned char>(c);
    if (is_alphanumeric(c) || std::string_view("-._~").find(c) != std::string_view::npos ||
        (keep_slash && c == '/')) {
      out += c;
    } else {
      out += {'%', hex[byte >> 4], hex[byte & 15]};
    }
  }
  return out;
}

std::string bytes_text(uint64_t bytes) {
  constexpr const char* units[] = {"bytes", "kB", "MB", "GB", "TB", "PB", "EB"};
  auto value = static_cast<double>(bytes);
  size_t unit = 0;
  while (value >= 999.5 && unit + 1 < std::size(units)) value /= 1000, ++unit;
  return fmt::format("{:.{}f} {}", value, unit == 0 || value >= 99.95 ? 0 : 1, units[unit]);
}

}  // namespace tarn::lm::hub
