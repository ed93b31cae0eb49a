// The strings of a vocabulary, by id and by text.
#pragma once

#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tarn::lm::tokenizer {

// The seed is drawn once per process: a vocabulary file cannot be made to collide.
uint64_t hash_seed();

inline uint64_t mixed(uint64_t h) {
  h ^= h >> 32;
  h *= 0x9E3779B97F4A7C15u;
  return h ^ h >> 29;
}

inline uint64_t hash_of(std::string_view text, uint64_t seed) {
  uint64_t h = seed ^ text.size();
  const char* at = text.data();
  size_t left = text.size();
  for (; left >= 8; at += 8, left -= 8) {
    uint64_t eight = 0;
    std::memcpy(&eight, at, 8);
    h = mixed(h ^ eight) + seed;
  }
  uint64_t tail = 0;
  for (size_t i = 0; i < left; ++i) tail = tail << 8 | static_cast<unsigned char>(at[i]);
  return mixed(mixed(h ^ tail) + seed);
}

class TokenTable {
 public:
  static constexpr int32_t kMostIds = 1 << 22;  // the largest real vocabularies have 2^18 tokens

  // Room for `ids` tokens of `bytes` bytes altogether; more may be added all the same.
  TokenTable(size_t ids, size_t bytes);

  // Sets the text of an id below kMostIds, made valid UTF-8. Of two ids with one text, the later is
  // found.
  void add(int32_t id, std::string_view text);

  std::optional<int32_t> find(std::string_view text) const;
  // Empty for an id that has no token.
  std::string_view text(int32_t id) const;
  int32_t size() const { return static_cast<int32_t>(places_.size()); }  // one past the largest id
  size_t longest() const { return longest_; }                            // in bytes

 private:
  struct Place {
    uint64_t offset = 0;
    uint32_t length = 0;
  };
  struct Slot {
    uint32_t tag = 0;  // the hash's upper half: most misses end without a look at the text
    int32_t id = -1;
  };
  void insert(int32_t id, std::string_view text);
  void grow();

  uint64_t seed_ = hash_seed();
  std::string bytes_{};
  std::vector<Place> places_{};
  std::vector<Slot> slots_;
  size_t used_ = 0, longest_ = 0;
};

// The alphabet in which byte-level vocabularies spell bytes: printable Latin-1 characters stand for
// themselves, the other 68 bytes for U+0100 and up ("Ġ" is the space).
void append_byte_level(std::string& out, std::string_view bytes);
// Appends the bytes that `text` spells; false, and nothing appended, if it holds other characters.
bool append_spelled_bytes(std::string& out, std::string_view text);
// The byte a token of the form "<0x0A>" stands for.
std::optional<uint8_t> byte_of_token(std::string_view token);
std::string byte_token(uint8_t byte);

}  // namespace tarn::lm::tokenizer
