// The one reader for JSON from files and requests: bounded depth, no duplicate keys.
#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace tarn {

using Json = nlohmann::json;                 // keys sorted, looked up in logarithmic time
using OrderedJson = nlohmann::ordered_json;  // keys in the order of the text, for small objects

inline constexpr size_t json_depth_limit = 128;
inline constexpr size_t json_value_limit = 20'000'000;  // some 1 GiB of values

// Reads one JSON value and nothing after it. Throws FileError that names `file` and the byte: the
// text is not JSON, an object has a key twice, values nest deeper than json_depth_limit or there
// are more than json_value_limit of them.
Json parse_json(std::string_view text, const std::string& file);
OrderedJson parse_ordered_json(std::string_view text, const std::string& file);

// parse_json of a file of at most `limit` bytes.
Json load_json(const std::string& path, size_t limit = size_t{256} << 20);

}  // namespace tarn
