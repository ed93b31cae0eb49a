// Damaged copies of a file: every shorter one, every flipped bit, and seeded random damage.
#pragma once

#include <functional>
#include <span>
#include <string>

#include "../io/io_files.h"

namespace tarn_test {

// Reads the bytes in whatever way is tested. It must return, or throw a tarn::Error.
using Reader = std::function<void(const std::string& bytes)>;

inline std::span<const std::byte> as_bytes(const std::string& s) {
  return std::as_bytes(std::span<const char>(s.data(), s.size()));
}

// Whether the reader kept its promise; the count of what it refused goes to `refused`.
inline testing::AssertionResult survives(const Reader& read, const std::string& bytes,
                                         size_t& refused) {
  try {
    read(bytes);
  } catch (const tarn::Error& e) {
    ++refused;
    for (const char* c = e.message(); *c; ++c)
      if (static_cast<unsigned char>(*c) < 0x20)
        return testing::AssertionFailure() << "a control character in: " << e.message();
  } catch (const std::exception& e) {
    return testing::AssertionFailure() << "not a tarn::Error: " << e.what();
  }
  return testing::AssertionSuccess();
}

// Each length from 0 to the whole but one. All are refused but the `accepted` longest, which lack
// padding only.
inline void truncate_everywhere(const std::string& bytes, const Reader& read, size_t accepted = 0) {
  size_t refused = 0;
  for (size_t n = 0; n < bytes.size(); ++n)
    ASSERT_TRUE(survives(read, bytes.substr(0, n), refused)) << "cut to " << n << " bytes";
  EXPECT_GE(refused, bytes.size() - accepted);
}

inline void flip_every_bit(const std::string& bytes, const Reader& read) {
  size_t refused = 0;
  std::string damaged = bytes;
  for (size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << (bit % 8)));
    ASSERT_TRUE(survives(read, damaged, refused)) << "bit " << bit;
    damaged[bit / 8] = bytes[bit / 8];
  }
  EXPECT_GT(refused, 0u);
}

inline std::string damaged(std::string bytes, Numbers& numbers) {
  static const uint64_t extremes[] = {0,          1,          0x7f,       0xff,       0x7fffffff,
                                      0xffffffff, 1ull << 32, 1ull << 62, 1ull << 63, ~uint64_t{0}};
  for (uint64_t n = 1 + numbers.below(4); n > 0 && !bytes.empty(); --n) {
    size_t at = numbers.below(bytes.size());
    size_t length = 1 + numbers.below(std::min<uint64_t>(16, bytes.size() - at));
    switch (numbers.below(6)) {
      case 0:
        bytes[at] = static_cast<char>(numbers.next());
        break;
      case 1:
        bytes.erase(at, length);
        break;
      case 2:
        bytes.insert(at, bytes.substr(at, length));
        break;
      case 3:
        bytes.insert(at, numbers.bytes(length));
        break;
      case 4:
        std::swap(bytes[at], bytes[numbers.below(bytes.size())]);
        break;
      default: {
        std::string extreme = bytes_of(extremes[numbers.below(std::size(extremes))]);
        size_t width = std::min<size_t>(size_t{1} << numbers.below(4), bytes.size() - at);
        bytes.replace(at, width, extreme.substr(0, width));
      }
    }
  }
  return bytes;
}

inline void damage_at_random(const std::string& bytes, const Reader& read, int rounds) {
  size_t refused = 0;
  for (int seed = 1; seed <= rounds; ++seed) {
    Numbers numbers(static_cast<uint64_t>(seed));
    ASSERT_TRUE(survives(read, damaged(bytes, numbers), refused)) << "seed " << seed;
  }
  EXPECT_GT(refused, static_cast<size_t>(rounds) / 20);
}

// Reads every byte of an array, so that one outside its memory is noticed.
inline void touch(const tarn::array& a) {
  a.eval();
  const auto* data = a.data<unsigned char>();
  unsigned sum = 0;
  for (size_t i = 0; i < a.nbytes(); ++i) sum += data[i];
  volatile unsigned kept = sum;
  (void)kept;
}

}  // namespace tarn_test
