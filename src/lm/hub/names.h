// Names from a person or from the hub, checked before they become parts of a path or an address.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/printable.h"
#include "base/require.h"
#include "tarn/lm/hub.h"

namespace tarn::lm::hub {

template <class... Args>
[[noreturn, gnu::cold, gnu::noinline]] void refuse(HubReason reason,
                                                   fmt::format_string<Args...> text,
                                                   Args&&... args) {
  throw HubError(reason, fmt::format(text, std::forward<Args>(args)...));
}

// "org/name" or "name". Throws HubError (bad_name).
void check_id(std::string_view id);
// A branch, a tag, "refs/pr/1" or a commit.
void check_revision(std::string_view revision);
// Why a path from the hub cannot be a file below a snapshot folder; nothing when it can.
std::optional<std::string> fault_of_file_name(std::string_view name);
// The first two that a file system without upper and lower case, or one with folders, cannot hold
// beside each other.
std::optional<std::pair<std::string, std::string>> colliding_names(
    const std::vector<std::string>& names);

bool is_commit(std::string_view text);  // 40 digits of lower-case hexadecimal, as a git SHA-1
bool is_sha256(std::string_view text);  // 64

// models--org--name, and back; nothing for the name of something else.
std::string folder_of_id(std::string_view id);
std::optional<std::string> id_of_folder(std::string_view folder);

// * is any text and ? any character, neither of them a slash.
bool matches(std::string_view pattern, std::string_view name);

// For an address: everything but letters, digits, -._~ and, where `keep_slash`, / as %XX.
std::string url_escaped(std::string_view text, bool keep_slash);

// "98.4 MB".
std::string bytes_text(uint64_t bytes);

}  // namespace tarn::lm::hub
