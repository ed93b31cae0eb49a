#include "io/gguf_blocks.h"

#include <bit>
#include <cstring>

#include "base/require.h"
#include "io/gguf_header.h"

namespace tarn::io {
namespace {

template <class T>
T load_as(const std::byte* from) {
  T value;
  std::memcpy(&value, from, sizeof(T));
  return value;
}

struct ScaledHalf {
  uint16_t bits;
  bool exact;
};

// -(2^shift) * h on the bits of a float16.
ScaledHalf minus_times_power_of_two(uint16_t h, int shift) {
  uint16_t sign = static_cast<uint16_t>((h & 0x8000u) ^ 0x8000u);
  int exponent = (h >> 10) & 31;
  unsigned fraction = h & 0x3ffu;
  if (exponent != 0) {
    bool fits = exponent + shift < 31;
    auto scaled = static_cast<unsigned>(((exponent + shift) << 10)) | fraction;
    return {static_cast<uint16_t>(sign | (fits ? scaled : 0x7c00u)), fits};
  }
  if (fraction == 0) return {sign, true};
  // A subnormal counts units of 2^-24; it becomes normal once it reaches 2^10 of them.
  unsigned units = fraction << shift;
  int above = std::bit_width(units) - 11;
  if (above < 0) return {static_cast<uint16_t>(sign | units), true};
  units >>= above;  // zeros only: the fraction had 10 bits and gained `shift` zeros
  return {static_cast<uint16_t>(sign | (static_cast<unsigned>(above + 1) << 10) | (units & 0x3ffu)),
          true};
}

// 16 bytes that hold element j in the low half of byte j and element j + 16 in its high half become
// 16 bytes with elements 2i and 2i + 1 in byte i.
void regroup_nibbles(const std::byte* from, void* to) {
  using Bytes [[gnu::vector_size(16)]] = uint8_t;
  using Pairs [[gnu::vector_size(16)]] = uint16_t;
  auto in = load_as<Pairs>(from);
  Pairs low = in & 0x0f0f, high = (in >> 4) & 0x0f0f;
  low = (low | (low >> 4)) & 0x00ff;
  high = (high | (high >> 4)) & 0x00ff;
  auto l = std::bit_cast<Bytes>(low), h = std::bit_cast<Bytes>(high);
  Bytes out =
      __builtin_shufflevector(l, h, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
  std::memcpy(to, &out, sizeof(out));
}

// Eight codes of 5 bits, one a byte, become 40 bits.
uint64_t squeeze_5_bits(uint64_t codes) {
  codes = (codes & 0x00ff00ff00ff00ff) | ((codes & 0xff00ff00ff00ff00) >> 3);
  codes = (codes & 0x0000ffff0000ffff) | ((codes & 0xffff0000ffff0000) >> 6);
  return (codes & 0xffffffff) | ((codes >> 32) << 20);
}

// Bit i of `bits` becomes bit 4 of byte i.
uint64_t spread_to_bit_4(uint64_t bits) {
  uint64_t each = ((bits & 0xff) * 0x0101010101010101) & 0x8040201008040201;
  return ((each + 0x7f7f7f7f7f7f7f7f) & 0x8080808080808080) >> 3;
}

// The 16 bytes of nibbles and the 32 fifth bits of a block as a stream of 5-bit codes.
void regroup_fives(const std::byte* nibbles, uint32_t fifth, std::byte* to) {
  for (int part = 0; part < 4; ++part) {
    auto codes = load_as<uint64_t>(nibbles + (part % 2) * 8) >> (part / 2 * 4);
    codes = (codes & 0x0f0f0f0f0f0f0f0f) | spread_to_bit_4(fifth >> (part * 8));
    uint64_t packed = squeeze_5_bits(codes);
    std::memcpy(to + part * 5, &packed, 5);
  }
}

// Each: `bits`, `bytes` of a block in the file, and what to do with one block.
struct Block4Zero {  // Q4_0: d, nibbles
  static constexpr int bits = 4, bytes = 18;
  static void codes(const std::byte* in, std::byte* to) { regroup_nibbles(in + 2, to); }
};
struct Block4 {  // Q4_1: d, m, nibbles
  static constexpr int bits = 4, bytes = 20;
  static void codes(const std::byte* in, std::byte* to) { regroup_nibbles(in + 4, to); }
};
struct Block5Zero {  // Q5_0: d, fifth bits, nibbles
  static constexpr int bits = 5, bytes = 22;
  static void codes(const std::byte* in, std::byte* to) {
    regroup_fives(in + 6, load_as<uint32_t>(in + 2), to);
  }
};
struct Block5 {  // Q5_1: d, m, fifth bits, nibbles
  static constexpr int bits = 5, bytes = 24;
  static void codes(const std::byte* in, std::byte* to) {
    regroup_fives(in + 8, load_as<uint32_t>(in + 4), to);
  }
};
struct Block8Zero {  // Q8_0: d, signed bytes
  static constexpr int bits = 8, bytes = 34;
  static void codes(const std::byte* in, std::byte* to) {
    for (int i = 0; i < 32; i += 8) {
      uint64_t flipped = load_as<uint64_t>(in + 2 + i) ^ 0x8080808080808080;
      std::memcpy(to + i, &flipped, 8);
    }
  }
};

template <class Block>
bool repack_rows(const GgufTensor& t, const RowRange& rows, const AffineRows& out) {
  constexpr bool has_minimum = Block::bytes == 4 + Block::bits * 4;
  constexpr int64_t code_bytes = Block::bits * affine_group / 8;
  int64_t blocks = t.columns() / affine_group;
  bool exact = true;
  for (int64_t row = rows.begin; row < rows.end; ++row) {
    const std::byte* in = t.bytes.data() + rows.source(row) * blocks * Block::bytes;
    auto* codes = reinterpret_cast<std::byte*>(out.weight) + row * blocks * code_bytes;
    uint16_t* scale = out.scales + row * blocks;
    uint16_t* bias = out.biases + row * blocks;
    for (int64_t i = 0; i < blocks; ++i, in += Block::bytes, codes += code_bytes) {
      Block::codes(in, codes);
      scale[i] = load_as<uint16_t>(in);
      if constexpr (has_minimum) {
        bias[i] = load_as<uint16_t>(in + 2);
      } else {
        auto scaled = minus_times_power_of_two(scale[i], Block::bits - 1);
        bias[i] = scaled.bits;
        exact &= scaled.exact;
      }
    }
  }
  return exact;
}

}  // namespace

int affine_bits(GgmlType type) {
  switch (type) {
    case GgmlType::q4_0:
    case GgmlType::q4_1:
      return 4;
    case GgmlType::q5_0:
    case GgmlType::q5_1:
      return 5;
    case GgmlType::q8_0:
      return 8;
    default:
      return 0;
  }
}

bool repack(const GgufTensor& t, const RowRange& rows, const AffineRows& out) {
  switch (t.type) {
    case GgmlType::q4_0:
      return repack_rows<Block4Zero>(t, rows, out);
    case GgmlType::q4_1:
      return repack_rows<Block4>(t, rows, out);
    case GgmlType::q5_0:
      return repack_rows<Block5Zero>(t, rows, out);
    case GgmlType::q5_1:
      return repack_rows<Block5>(t, rows, out);
    case GgmlType::q8_0:
      return repack_rows<Block8Zero>(t, rows, out);
    default:
      fail("[gguf] {} has no affine form.", layout_of(t.type).name);
  }
}

}  // namespace tarn::io
