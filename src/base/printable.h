// Text that came from a file or a request, made safe to print in one line.
#pragma once

#include <string>
#include <string_view>

namespace tarn {

// Control characters, DEL and bytes that are not UTF-8 come out as \xNN, so a message cannot move
// the cursor or break its line; text longer than `limit` bytes is cut and ends in "...".
std::string printable(std::string_view text, size_t limit = 120);

}  // namespace tarn
