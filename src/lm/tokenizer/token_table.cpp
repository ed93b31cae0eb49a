#include "lm/tokenizer/token_table.h"
#include "base/text.h"

#include <algorithm>
#include <array>
#include <bit>
#include <random>

#include "lm/tokenizer/unicode.h"

namespace tarn::lm::tokenizer {
namespace {

constexpr uint32_t kLargestSpelling = 0x144;

constexpr bool spells_itself(uint32_t byte) {
  return (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

constexpr std::array<uint32_t, 256> spelling_of_bytes() {
  std::array<uint32_t, 256> codes{};
  uint32_t next = 0x100;
  for (uint32_t b = 0; b < 256; ++b) codes[b] = spells_itself(b) ? b : next++;
  return codes;
}
constexpr std::array<uint32_t, 256> kSpelling = spelling_of_bytes();

constexpr std::array<int16_t, kLargestSpelling> bytes_of_spelling() {
  std::array<int16_t, kLargestSpelling> bytes{};
  bytes.fill(-1);
  for (size_t b = 0; b < 256; ++b) bytes[kSpelling[b]] = static_cast<int16_t>(b);
  return bytes;
}
constexpr std::array<int16_t, kLargestSpelling> kByteOfSpelling = bytes_of_spelling();

}  // namespace

uint64_t hash_seed() {
  static const uint64_t seed = [] {
    std::random_device device;
    return uint64_t{device()} << 32 | device();
  }();
  return seed;
}

TokenTable::TokenTable(size_t ids, size_t bytes)
    : slots_(std::bit_ceil(2 * std::min<size_t>(ids, kMostIds) + 16)) {
  places_.reserve(std::min<size_t>(ids, kMostIds));
  bytes_.reserve(bytes);
}

void TokenTable::add(int32_t id, std::string_view text) {
  if (valid_prefix(text) != text.size()) return add(id, valid_utf8(text));
  if (static_cast<size_t>(id) >= places_.size()) places_.resize(static_cast<size_t>(id) + 1);
  places_[static_cast<size_t>(id)] = {bytes_.size(), static_cast<uint32_t>(text.size())};
  bytes_.append(text);
  longest_ = std::max(longest_, text.size());
  if (text.empty()) return;
  if (2 * (used_ + 1) > slots_.size()) grow();
  insert(id, text);
}

void TokenTable::insert(int32_t id, std::string_view text) {
  uint64_t hash = hash_of(text, seed_);
  auto tag = static_cast<uint32_t>(hash >> 32);
  for (size_t at = hash & (slots_.size() - 1);; at = (at + 1) & (slots_.size() - 1)) {
    Slot& slot = slots_[at];
    if (slot.id < 0) ++used_;
    if (slot.id < 0 || (slot.tag == tag && this->text(slot.id) == text)) {
      slot = {tag, id};
      return;
    }
  }
}

void TokenTable::grow() {
  std::vector<Slot> old(slots_.size() * 2);
  old.swap(slots_);
  used_ = 0;
  for (const Slot& slot : old)
    if (slot.id >= 0) insert(slot.id, text(slot.id));
}

std::optional<int32_t> TokenTable::find(std::string_view text) const {
  if (text.empty() || text.size() > longest_) return std::nullopt;
  uint64_t hash = hash_of(text, seed_);
  auto tag = static_cast<uint32_t>(hash >> 32);
  for (size_t at = hash & (slots_.size() - 1);; at = (at + 1) & (slots_.size() - 1)) {
    const Slot& slot = slots_[at];
    if (slot.id < 0) return std::nullopt;
    if (slot.tag == tag && this->text(slot.id) == text) return slot.id;
  }
}

std::string_view TokenTable::text(int32_t id) const {
  if (id < 0 || id >= size()) return {};
  const Place& place = places_[static_cast<size_t>(id)];
  return std::string_view(bytes_).substr(place.offset, place.length);
}

void append_byte_level(std::string& out, std::string_view bytes) {
  for (char byte : bytes) append_utf8(out, kSpelling[static_cast<unsigned char>(byte)]);
}

bool append_spelled_bytes(std::string& out, std::string_view text) {
  size_t before = out.size();
  for (size_t at = 0; at < text.size();) {
    Character c = character_at(text, at);
    at += c.length;
    if (c.code >= kLargestSpelling || kByteOfSpelling[c.code] < 0) {
      out.resize(before);
      return false;
    }
    out.push_back(static_cast<char>(kByteOfSpelling[c.code]));
  }
  return true;
}

std::optional<uint8_t> byte_of_token(std::string_view token) {
  if (token.size() != 6 || !token.starts_with("<0x") || token[5] != '>') return std::nullopt;
  auto digit = [](char c) {
    return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
  };
  int high = digit(token[3]), low = digit(token[4]);
  if (high < 0 || low < 0) return std::nullopt;
  return static_cast<uint8_t>(high * 16 + low);
}

std::string byte_token(uint8_t byte) { return fmt::format("<0x{:02X}>", byte); }

}  // namespace tarn::lm::tokenizer
