// JSON as text, whatever its strings hold.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace tarn {

// One line, or lines that are indented by so many spaces. Bytes that are not UTF-8, which `dump`
// alone throws for, become U+FFFD.
template <class AnyJson>
std::string json_text(const AnyJson& json, int indent = -1) {
  return json.dump(indent, ' ', false, AnyJson::error_handler_t::replace);
}

}  // namespace tarn
