#include "lm/tokenizer/base64.h"

#include <array>
#include <cstdint>

namespace tarn::lm::tokenizer {
namespace {

constexpr std::array<int8_t, 256> digits() {
  std::array<int8_t, 256> out{};
  out.fill(-1);
  int8_t value = 0;
  for (char c :
       std::string_view("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"))
    out[static_cast<unsigned char>(c)] = value++;
  return out;
}
constexpr std::array<int8_t, 256> kDigits = digits();

}  // namespace

std::optional<std::string> from_base64(std::string_view text) {
  if (text.size() % 4 != 0) return std::nullopt;
  for (int padding = 0; padding < 2 && text.ends_with('='); ++padding) text.remove_suffix(1);
  std::string out;
  out.reserve(text.size() * 3 / 4);
  uint32_t bits = 0, count = 0;
  for (char c : text) {
    int digit = kDigits[static_cast<unsigned char>(c)];
    if (digit < 0) return std::nullopt;
    bits = bits << 6 | static_cast<uint32_t>(digit);
    count += 6;
    if (count < 8) continue;
    count -= 8;
    out.push_back(static_cast<char>(bits >> count & 0xFF));
  }
  return out;
}

}  // namespace tarn::lm::tokenizer
