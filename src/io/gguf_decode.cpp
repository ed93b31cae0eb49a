#include <cstring>

#include "base/require.h"
#include "io/gguf_blocks.h"
#include "io/gguf_header.h"

namespace tarn::io {
namespace {

using Bytes = const uint8_t*;

float half_at(Bytes from) {
  float16_t h;
  std::memcpy(&h.bits, from, sizeof(h.bits));
  return h;
}

// Rounds to nearest even as float16_t does, without a branch, so that loops of it are vectorised.
uint16_t half_bits(float value) {
  auto all = __builtin_bit_cast(uint32_t, value);
  uint32_t sign = (all >> 16) & 0x8000u, x = all & 0x7fffffffu;
  uint32_t normal = (x + 0xfffu + ((x >> 13) & 1u) - 0x38000000u) >> 13;
  // Below 2^-14, adding 0.5 leaves the subnormal's bits at the end of the fraction.
  float moved = __builtin_bit_cast(float, x) + 0.5f;
  uint32_t subnormal = __builtin_bit_cast(uint32_t, moved) - 0x3f000000u;
  uint32_t special = x > 0x7f800000u ? 0x7e00u : 0x7c00u;
  uint32_t finite = x < 0x38800000u ? subnormal : normal;
  return static_cast<uint16_t>(sign | (x >= 0x477ff000u ? special : finite));
}

// Blocks of 32: y = d * (code - zero), or d * code + m.
struct DecodeQ4Zero {
  static constexpr int numbers = 32;
  static void block(Bytes in, float* y) {
    float d = half_at(in);
    for (int i = 0; i < 16; ++i) {
      y[i] = d * static_cast<float>((in[2 + i] & 15) - 8);
      y[i + 16] = d * static_cast<float>((in[2 + i] >> 4) - 8);
    }
  }
};
struct DecodeQ5Zero {
  static constexpr int numbers = 32;
  static void block(Bytes in, float* y) {
    float d = half_at(in);
    uint32_t fifth = 0;
    std::memcpy(&fifth, in + 2, sizeof(fifth));
    for (int i = 0; i < 16; ++i) {
      int low = (in[6 + i] & 15) | static_cast<int>((fifth >> i & 1) << 4);
      int high = (in[6 + i] >> 4) | static_cast<int>((fifth >> (i + 16) & 1) << 4);
      y[i] = d * static_cast<float>(low - 16);
      y[i + 16] = d * static_cast<float>(high - 16);
    }
  }
};
struct DecodeQ8Zero {
  static constexpr int numbers = 32;
  static void block(Bytes in, float* y) {
    float d = half_at(in);
    for (int i = 0; i < 32; ++i) y[i] = d * static_cast<float>(static_cast<int8_t>(in[2 + i]));
  }
};
struct DecodeIq4Nl {
  static constexpr int numbers = 32;
  static void block(Bytes in, float* y) {
    constexpr float values[] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                1,    13,   25,  38,  53,  69,  89,  113};
    float d = half_at(in);
    for (int i = 0; i < 16; ++i) {
      y[i] = d * values[in[2 + i] & 15];
      y[i + 16] = d * values[in[2 + i] >> 4];
    }
  }
};

// Super-blocks of 256: scales (and minima) of the parts are small integers times one float16.

// 16 parts of 16 numbers: 16 bytes (scale in the low half, minimum in the high), 64 bytes of 2-bit
// codes, d, dmin.
struct DecodeQ2K {
  static constexpr int numbers = 256;
  static void block(Bytes in, float* y) {
    Bytes codes = in + 16;
    float d = half_at(in + 80), dmin = half_at(in + 82);
    for (int part = 0; part < 16; ++part) {
      float scale = d * static_cast<float>(in[part] & 15);
      float minimum = dmin * static_cast<float>(in[part] >> 4);
      Bytes q = codes + part / 8 * 32 + part % 2 * 16;
      int shift = part % 8 / 2 * 2;
      for (int i = 0; i < 16; ++i)
        y[part * 16 + i] = scale * static_cast<float>(q[i] >> shift & 3) - minimum;
    }
  }
};

// 32 bytes with each code's third bit (set: nothing to subtract), 64 bytes of 2-bit codes, 12 bytes
// of sixteen 6-bit scales around 32 (low four bits first, then the high two), d.
struct DecodeQ3K {
  static constexpr int numbers = 256;
  static void block(Bytes in, float* y) {
    Bytes codes = in + 32, scales = in + 96;
    float d = half_at(in + 108);
    for (int part = 0; part < 16; ++part) {
      int low = part < 8 ? scales[part] & 15 : scales[part - 8] >> 4;
      int high = scales[8 + part % 4] >> (part / 4 * 2) & 3;
      float scale = d * static_cast<float>((low | high << 4) - 32);
      Bytes q = codes + part / 8 * 32 + part % 2 * 16;
      Bytes third = in + part % 2 * 16;
      int shift = part % 8 / 2 * 2, bit = part / 2;
      for (int i = 0; i < 16; ++i) {
        int code = (q[i] >> shift & 3) - ((third[i] >> bit & 1) ? 0 : 4);
        y[part * 16 + i] = scale * static_cast<float>(code);
      }
    }
  }
};

struct ScaleAndMinimum {
  float scale;
  float minimum;
};

// Part j of the eight whose 6-bit scales and minima are packed into 12 bytes.
ScaleAndMinimum six_bit_pair(Bytes packed, int j) {
  int scale = packed[j] & 63, minimum = packed[j + 4] & 63;
  if (j >= 4) {
    scale = (packed[j + 4] & 15) | (packed[j - 4] >> 6) << 4;
    minimum = (packed[j + 4] >> 4) | (packed[j] >> 6) << 4;
  }
  return {static_cast<float>(scale), static_cast<float>(minimum)};
}

// d, dmin, 12 bytes of scales and minima, 128 bytes of nibbles.
struct DecodeQ4K {
  static constexpr int numbers = 256;
  static void block(Bytes in, float* y) {
    float d = half_at(in), dmin = half_at(in + 2);
    for (int part = 0; part < 8; ++part) {
      auto pair = six_bit_pair(in + 4, part);
      float scale = d * pair.scale, minimum = dmin * pair.minimum;
      Bytes q = in + 16 + part / 2 * 32;
      int shift = part % 2 * 4;
      for (int i = 0; i < 32; ++i)
        y[part * 32 + i] = scale * static_cast<float>(q[i] >> shift & 15) - minimum;
    }
  }
};

// As Q4_K with 32 bytes of fifth bits before the nibbles.
struct DecodeQ5K {
  static constexpr int numbers = 256;
  static void block(Bytes in, float* y) {
    float d = half_at(in), dmin = half_at(in + 2);
    Bytes fifth = in + 16;
    for (int part = 0; part < 8; ++part) {
      auto pair = six_bit_pair(in + 4, part);
      float scale = d * pair.scale, minimum = dmin * pair.minimum;
      Bytes q = in + 48 + part / 2 * 32;
      int shift = part % 2 * 4;
      for (int i = 0; i < 32; ++i) {
        int code = (q[i] >> shift & 15) | (fifth[i] >> part & 1) << 4;
        y[part * 32 + i] = scale * static_cast<float>(code) - minimum;
      }
    }
  }
};

// 128 bytes of nibbles, 64 bytes of the two high bits, 16 signed scales, d; codes around 32.
struct DecodeQ6K {
  static constexpr int numbers = 256;
  static void block(Bytes in, float* y) {
    Bytes high = in + 128;
    const auto* scales = reinterpret_cast<const int8_t*>(in + 192);
    float d = half_at(in + 208);
    for (int part = 0; part < 16; ++part) {
      int half = part / 8, quarter = part % 8 / 2, side = part % 2 * 16;
      float scale = d * static_cast<float>(scales[part]);
      Bytes low = in + half * 64 + quarter % 2 * 32 + side;
      Bytes two = high + half * 32 + side;
      int low_shift = quarter / 2 * 4, two_shift = quarter * 2;
      for (int i = 0; i < 16; ++i) {
        int code = (low[i] >> low_shift & 15) | (two[i] >> two_shift & 3) << 4;
        y[part * 16 + i] = scale * static_cast<float>(code - 32);
      }
    }
  }
};

template <class Block, class T>
void decode_rows(const GgufTensor& t, const RowRange& rows, T* out) {
  size_t bytes = layout_of(t.type).bytes;
  auto blocks = static_cast<size_t>(t.columns()) / Block::numbers;
  for (int64_t row = rows.begin; row < rows.end; ++row) {
    auto in = reinterpret_cast<Bytes>(t.bytes.data()) +
              static_cast<size_t>(rows.source(row)) * blocks * bytes;
    T* to = out + row * t.columns();
    for (size_t b = 0; b < blocks; ++b, in += bytes, to += Block::numbers) {
      if constexpr (std::is_same_v<T, float>) {
        Block::block(in, to);
      } else {
        float numbers[Block::numbers];
        Block::block(in, numbers);
        for (int i = 0; i < Block::numbers; ++i) to[i].bits = half_bits(numbers[i]);
      }
    }
  }
}

template <class T>
void decode_as(const GgufTensor& t, const RowRange& rows, T* out) {
  switch (t.type) {
    case GgmlType::q4_0:
      return decode_rows<DecodeQ4Zero>(t, rows, out);
    case GgmlType::q5_0:
      return decode_rows<DecodeQ5Zero>(t, rows, out);
    case GgmlType::q8_0:
      return decode_rows<DecodeQ8Zero>(t, rows, out);
    case GgmlType::iq4_nl:
      return decode_rows<DecodeIq4Nl>(t, rows, out);
    case GgmlType::q2_k:
      return decode_rows<DecodeQ2K>(t, rows, out);
    case GgmlType::q3_k:
      return decode_rows<DecodeQ3K>(t, rows, out);
    case GgmlType::q4_k:
      return decode_rows<DecodeQ4K>(t, rows, out);
    case GgmlType::q5_k:
      return decode_rows<DecodeQ5K>(t, rows, out);
    case GgmlType::q6_k:
      return decode_rows<DecodeQ6K>(t, rows, out);
    default:
      fail("[gguf] {} cannot be decoded.", layout_of(t.type).name);
  }
}

}  // namespace

bool can_decode(GgmlType type) {
  switch (type) {
    case GgmlType::q4_0:
    case GgmlType::q5_0:
    case GgmlType::q8_0:
    case GgmlType::iq4_nl:
    case GgmlType::q2_k:
    case GgmlType::q3_k:
    case GgmlType::q4_k:
    case GgmlType::q5_k:
    case GgmlType::q6_k:
      return true;
    default:
      return false;
  }
}

void decode(const GgufTensor& t, const RowRange& rows, float16_t* out) { decode_as(t, rows, out); }
void decode(const GgufTensor& t, const RowRange& rows, float* out) { decode_as(t, rows, out); }

}  // namespace tarn::io
