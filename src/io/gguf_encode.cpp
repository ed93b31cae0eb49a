#include "io/gguf_encode.h"

#include <cmath>
#include <cstring>
#include <span>

#include "io/gguf_blocks.h"
#include "io/row_major.h"

namespace tarn {
namespace {

// The numbers of a weight, checked and in order.
class Groups {
 public:
  explicit Groups(const GgufQuantised& w)
      : codes_(w.weight),
        scales_(w.scales),
        biases_(w.biases),
        dtype_(w.scales.dtype()),
        count_(w.scales.size()) {}

  size_t count() const { return count_; }
  const uint8_t* codes() const { return reinterpret_cast<const uint8_t*>(codes_.bytes().data()); }
  float scale(size_t i) const { return number(scales_, i); }
  float bias(size_t i) const { return number(biases_, i); }

 private:
  float number(const io::RowMajor& from, size_t i) const {
    auto read = [&]<class T>(T value) {
      std::memcpy(&value, from.bytes().data() + i * sizeof(T), sizeof(T));
      return static_cast<float>(value);
    };
    if (dtype_ == float16) return read(float16_t{});
    if (dtype_ == bfloat16) return read(bfloat16_t{});
    return read(float{});
  }

  io::RowMajor codes_, scales_, biases_;
  Dtype dtype_;
  size_t count_;
};

bool is_half(float x) { return static_cast<float>(float16_t(x)) == x; }

bool has_form(const GgufQuantised& w) {
  Shape groups = w.scales.shape();
  if (groups.empty() || w.weight.dtype() != uint32 || w.scales.size() == 0) return false;
  Shape words = groups;
  words.back() = groups.back() * w.group_size / 32 * w.bits;
  bool known =
      w.scales.dtype() == float16 || w.scales.dtype() == bfloat16 || w.scales.dtype() == float32;
  return known && w.group_size % io::affine_group == 0 && w.biases.shape() == groups &&
         w.biases.dtype() == w.scales.dtype() && w.weight.shape() == words;
}

void put_half(std::byte*& to, float x) {
  float16_t half(x);
  std::memcpy(to, &half, sizeof half);
  to += sizeof half;
}

// 32 codes of 4 bits, two neighbours a byte, become bytes of elements j and j + 16.
void put_nibbles(std::byte*& to, const uint8_t* codes) {
  auto code = [&](int i) { return (codes[i / 2] >> (i % 2 * 4)) & 15; };
  for (int j = 0; j < 16; ++j) *to++ = static_cast<std::byte>(code(j) | (code(j + 16) << 4));
}

}  // namespace

std::optional<GgmlType> gguf_type_of(const GgufQuantised& w) {
  if ((w.bits != 4 && w.bits != 8) || !has_form(w)) return std::nullopt;
  Groups groups(w);
  // Codes that count from zero: the bias is -8 or -128 scales.
  float zero = w.bits == 4 ? -8 : -128;
  bool all_halves = true, all_centred = true;
  for (size_t i = 0; i < groups.count() && all_halves; ++i) {
    all_halves = is_half(groups.scale(i)) && (w.bits == 8 || is_half(groups.bias(i)));
    all_centred = all_centred && groups.bias(i) == zero * groups.scale(i);
  }
  if (!all_halves) return std::nullopt;
  if (w.bits == 8) return all_centred ? std::optional(GgmlType::q8_0) : std::nullopt;
  return all_centred ? GgmlType::q4_0 : GgmlType::q4_1;
}

namespace io {

std::vector<std::byte> encode_blocks(const GgufQuantised& w, GgmlType type) {
  Groups groups(w);
  size_t blocks_a_group = static_cast<size_t>(w.group_size / affine_group);
  size_t header = type == GgmlType::q4_1 ? 4 : 2, body = type == GgmlType::q8_0 ? 32 : 16;
  std::vector<std::byte> out(groups.count() * blocks_a_group * (header + body));
  std::byte* to = out.data();
  const uint8_t* codes = groups.codes();
  for (size_t i = 0; i < groups.count(); ++i)
    for (size_t block = 0; block < blocks_a_group; ++block, codes += body) {
      put_half(to, groups.scale(i));
      if (type == GgmlType::q4_1) put_half(to, groups.bias(i));
      if (type != GgmlType::q8_0) {
        put_nibbles(to, codes);
        continue;
      }
      for (size_t j = 0; j < body; ++j) *to++ = static_cast<std::byte>(codes[j] ^ 0x80);
    }
  return out;
}

}  // namespace io
}  // namespace tarn
