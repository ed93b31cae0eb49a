// Bytes as vocabulary files write them in text.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace tarn::lm::tokenizer {

// The bytes that `text` spells in the alphabet of RFC 4648 with its padding; nothing if it is none.
std::optional<std::string> from_base64(std::string_view text);

}  // namespace tarn::lm::tokenizer
