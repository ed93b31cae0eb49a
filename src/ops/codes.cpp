#include "ops/codes.h"

#include <array>
#include <limits>

namespace tarn {
namespace ops {
namespace {

const char* mode_of(Coding c) {
  switch (c) {
    case Coding::affine:
      return "affine";
    case Coding::mxfp4:
      return "mxfp4";
    case Coding::mxfp8:
      return "mxfp8";
    case Coding::nvfp4:
      return "nvfp4";
  }
  return "";
}

array e2m1_numbers() {
  static constexpr std::array<float, 16> numbers{0.f,  0.5f,  1.f,  1.5f,  2.f,  3.f,  4.f,  6.f,
                                                 -0.f, -0.5f, -1.f, -1.5f, -2.f, -3.f, -4.f, -6.f};
  return array(numbers.begin(), {16}, float32);
}
// 2^(code - 127) as float32: the exponent's bits, but for 0, which is the subnormal 2^-127.
array e8m0_numbers(const array& codes) {
  array wide = astype(codes, uint32);
  array bits = where(wide == array(0, uint32), array(0x00400000, uint32),
                     left_shift(wide, array(23, uint32)));
  return view(bits, float32);
}

}  // namespace

Format checked_format(const char* op, std::optional<int> group_size, std::optional<int> bits,
                      const std::string& mode) {
  if (mode == "affine") {
    Format f{Coding::affine, group_size.value_or(64), bits.value_or(4)};
    require(f.group == 32 || f.group == 64 || f.group == 128,
            "[{}] group_size is {}; it must be 32, 64 or 128.", op, f.group);
    require(f.bits >= 2 && f.bits <= 8 && f.bits != 7,
            "[{}] bits is {}; it must be 2, 3, 4, 5, 6 or 8.", op, f.bits);
    return f;
  }
  Format f;
  if (mode == "mxfp4")
    f = {Coding::mxfp4, 32, 4};
  else if (mode == "mxfp8")
    f = {Coding::mxfp8, 32, 8};
  else
    f = {Coding::nvfp4, 16, 4};
  require(mode == mode_of(f.coding),
          "[{}] mode is \"{}\"; it must be \"affine\", \"mxfp4\", \"mxfp8\" or \"nvfp4\".", op,
          mode);
  require(group_size.value_or(f.group) == f.group,
          "[{}] group_size is {}; mode \"{}\" has groups of {}.", op, group_size.value_or(0), mode,
          f.group);
  require(bits.value_or(f.bits) == f.bits, "[{}] bits is {}; mode \"{}\" has {}.", op,
          bits.value_or(0), mode, f.bits);
  return f;
}

void check_weights(const char* op, const array& w, const array& scales,
                   const std::optional<array>& biases, const Format& f) {
  bool affine = f.coding == Coding::affine;
  require(biases.has_value() == affine, "[{}] mode \"{}\" {} biases.", op, mode_of(f.coding),
          affine ? "needs" : "has no");
  require(w.dtype() == uint32, "[{}] w is {}; packed codes are uint32.", op, name_of(w.dtype()));
  if (affine)
    require(issubdtype(scales.dtype(), floating) && issubdtype(biases->dtype(), floating),
            "[{}] scales are {} and biases {}; they must be floats.", op, name_of(scales.dtype()),
            name_of(biases->dtype()));
  else
    require(scales.dtype() == uint8, "[{}] scales are {}; mode \"{}\" stores them as uint8.", op,
            name_of(scales.dtype()), mode_of(f.coding));
  const array& other = biases.value_or(scales);
  require<ShapeError>(w.ndim() >= 2 && w.ndim() == scales.ndim() && scales.shape() == other.shape(),
                      "[{}] w has shape {}, scales {} and biases {}.", op, text_of(w.shape()),
                      text_of(scales.shape()), text_of(other.shape()));
  Shape want = w.shape();
  want.back() = want.back() * 32 / f.bits / f.group;
  require<ShapeError>(
      scales.shape() == want && w.shape(-1) * 32 % (f.bits * f.group) == 0,
      "[{}] w has shape {} in {} bits; groups of {} need scales of shape {}, not {}.", op,
      text_of(w.shape()), f.bits, f.group, text_of(want), text_of(scales.shape()));
}

void check_global_scale(const char* op, const std::optional<array>& scale, const Format& f) {
  if (!scale) return;
  require(f.coding == Coding::nvfp4, "[{}] mode \"{}\" has no global scale; \"nvfp4\" has one.", op,
          mode_of(f.coding));
  require(scale->size() == 1 && issubdtype(scale->dtype(), floating),
          "[{}] global_scale is {} of shape {}; it must be one float.", op, name_of(scale->dtype()),
          text_of(scale->shape()));
}

Arrays weights(const array& w, const array& scales, const std::optional<array>& biases) {
  if (!biases) return {w, scales};
  Dtype t = result_type(scales, *biases);
  return {w, astype(scales, t), astype(*biases, t)};
}

// Code k starts at bit k * bits of its row and may reach into the next word.
array unpacked(const array& words, int bits) {
  int64_t per_row = words.shape(-1) * 32 / bits;
  array bit = arange(0.0, double(per_row), uint32) * array(bits, uint32);
  array low_word = right_shift(bit, array(5, uint32));
  array last = array(words.shape(-1) - 1, uint32);
  array high_word = minimum(low_word + array(1, uint32), last);
  array shift = bitwise_and(bit, array(31, uint32));
  array low = right_shift(take(words, low_word, -1), shift);
  array high = left_shift(take(words, high_word, -1), array(32, uint32) - shift);
  array whole = 32 % bits == 0 ? low : bitwise_or(low, high);
  return bitwise_and(whole, array((1 << bits) - 1, uint32));
}
// Where codes straddle words: every bit of the stream in its place, then 32 of them to a word.
array packed(const array& codes, int bits) {
  if (32 % bits == 0) {
    array parts = grouped(codes, 32 / bits), shift = arange(0.0, 32.0, double(bits), uint32);
    return sum(left_shift(parts, shift), -1);
  }
  Shape spread = codes.shape();
  spread.push_back(bits);
  array bit = bitwise_and(right_shift(expand_dims(codes, -1), arange(0.0, double(bits), uint32)),
                          array(1, uint32));
  Shape rows(codes.shape().begin(), codes.shape().end() - 1);
  rows.push_back(codes.shape(-1) * bits / 32);
  rows.push_back(32);
  array stream = reshape(broadcast_to(bit, spread), rows);
  return sum(left_shift(stream, arange(0.0, 32.0, uint32)), -1);
}
array grouped(const array& x, int group) {
  Shape shape(x.shape().begin(), x.shape().end() - 1);
  shape.push_back(x.shape(-1) / group);
  shape.push_back(group);
  return reshape(x, shape);
}

array scaled_codes(const array& words, const array& scales, const Format& f) {
  array codes = grouped(unpacked(words, f.bits), f.group);
  array numbers = f.coding == Coding::affine  ? astype(codes, scales.dtype())
                  : f.coding == Coding::mxfp8 ? from_fp8(astype(codes, uint8), scales.dtype())
                                              : astype(take(e2m1_numbers(), codes), scales.dtype());
  return numbers * expand_dims(scales, -1);
}
array scale_numbers(const array& scales, Coding coding, Dtype t) {
  if (coding == Coding::affine) return astype(scales, t);
  return coding == Coding::nvfp4 ? from_fp8(scales, t) : astype(e8m0_numbers(scales), t);
}
array global_factor(const array& g) {
  return reshape(astype(g, float32), Shape{}) / array(448.0f * 6.0f);
}

}  // namespace ops

using namespace ops;

// E4M3's bits, one place lower than float16's, are those of a float16 2^8 times too small.
array from_fp8(array x, Dtype dtype, StreamOrDevice s) {
  require(x.dtype() == uint8, "[from_fp8] x is {}; float8 numbers are uint8.", name_of(x.dtype()));
  require(issubdtype(dtype, floating), "[from_fp8] dtype is {}; it must be a float.",
          name_of(dtype));
  array code = astype(x, uint16, s), size = bitwise_and(code, array(127, uint16), s);
  array sign = left_shift(bitwise_and(code, array(128, uint16), s), array(8, uint16), s);
  array half = view(bitwise_or(sign, left_shift(size, array(7, uint16), s), s), float16, s);
  array value = multiply(half, array(256.0f, float16), s);
  array nan = array(std::numeric_limits<float>::quiet_NaN(), float16);
  return astype(where(equal(size, array(127, uint16), s), nan, value, s), dtype, s);
}

// From 2^-6 on a number keeps 3 bits of its fraction; below, numbers are multiples of 2^-9.
array to_fp8(array x, StreamOrDevice s) {
  require(issubdtype(x.dtype(), floating), "[to_fp8] x is {}; it must be a float.",
          name_of(x.dtype()));
  array wide = astype(x, float32, s), size = abs(wide, s);
  array most = array(448.0f);
  size = where(less(size, most, s), size, most, s);  // NaN as well
  array bits = view(size, uint32, s);
  array odd = bitwise_and(right_shift(bits, array(20, uint32), s), array(1, uint32), s);
  array rounded = right_shift(bits + array(0x7ffff, uint32) + odd, array(20, uint32), s);
  array steps = astype(round(minimum(size, array(1.0f), s) * array(512.0f), s), uint32, s);
  array code = where(less(size, array(0x1p-6f), s), steps, rounded - array(120 << 3, uint32), s);
  array sign =
      left_shift(right_shift(view(wide, uint32, s), array(31, uint32), s), array(7, uint32), s);
  return astype(bitwise_or(code, sign, s), uint8, s);
}

namespace {

// MLX's encoder: the scale's sign makes the larger end of the range exact.
Arrays quantize_affine(const array& w, const Format& f, StreamOrDevice s) {
  array x = grouped(astype(w, float32, s), f.group);
  auto levels = static_cast<float>((1 << f.bits) - 1);
  array high = max(x, -1, true, s), low = min(x, -1, true, s);
  array scale = maximum((high - low) / array(levels), array(1e-7f), s);
  array low_is_edge = abs(low, s) > abs(high, s);
  array signed_scale = where(low_is_edge, scale, -scale, s);
  array edge = where(low_is_edge, low, high, s);
  array q0 = round(edge / signed_scale, s);
  array at_zero = q0 == array(0.0f);
  array final_scale = where(at_zero, signed_scale, edge / where(at_zero, array(1.0f), q0, s), s);
  array bias = where(at_zero, array(0.0f), edge, s);
  array codes = clip(round((x - bias) / final_scale, s), array(0.0f), array(levels), s);
  array words = packed(flatten(astype(codes, uint32, s), -2, -1, s), f.bits);
  return {words, astype(squeeze(final_scale, -1, s), w.dtype(), s),
          astype(squeeze(bias, -1, s), w.dtype(), s)};
}

// E8M0 of the smallest power of two that is not below `scale`.
array e8m0_code(const array& scale) {
  array finite = isfinite(scale), some = logical_and(finite, scale > array(0.0f));
  array exponent = ceil(log2(where(some, scale, array(1.0f))));
  exponent = clip(exponent, array(-127.0f), array(127.0f)) + array(127.0f);
  return astype(where(finite, exponent, array(255.0f)), uint8);
}
// E2M1, ties to the smaller number; NaN is 0.
array e2m1_code(const array& x) {
  array size = abs(x), code = zeros(x.shape(), uint32);
  for (float border : {0.25f, 0.75f, 1.25f, 1.75f, 2.5f, 3.5f, 5.0f})
    code = code + astype(size > array(border), uint32);
  array negative = logical_and(x<array(0.0f), code> array(0, uint32));
  return code + where(negative, array(8, uint32), array(0, uint32));
}
// In float32 whatever w's dtype is, as MLX does.
Arrays quantize_floats(const array& w, const Format& f, const std::optional<array>& global) {
  array x = grouped(astype(w, float32), f.group);
  array scale = max(abs(x), -1, true) / array(f.bits == 4 ? 6.0f : 448.0f);
  array bytes = scale, codes = x;
  if (f.coding == Coding::nvfp4) {
    bytes = to_fp8(global ? scale / global_factor(*global) : scale);
    array step = from_fp8(bytes, float32);
    if (global) step = step * global_factor(*global);
    array none = step == array(0.0f);
    codes = where(none, array(0.0f), x / where(none, array(1.0f), step));
  } else {
    bytes = e8m0_code(scale);
    codes = x / scale_numbers(bytes, f.coding, float32);
  }
  codes = f.bits == 4 ? e2m1_code(codes) : astype(to_fp8(codes), uint32);
  return {packed(flatten(codes, -2, -1), f.bits), squeeze(bytes, -1)};
}

}  // namespace

std::vector<array> quantize(const array& w, std::optional<int> group_size, std::optional<int> bits,
                            const std::string& mode, const std::optional<array>& global_scale,
                            StreamOrDevice s) {
  Format f = checked_format("quantize", group_size, bits, mode);
  require<ShapeError>(w.ndim() >= 2 && w.shape(-1) % f.group == 0,
                      "[quantize] w has shape {}; it needs 2 axes, the last a multiple of {}.",
                      text_of(w.shape()), f.group);
  require(issubdtype(w.dtype(), floating), "[quantize] w is {}; only floats are quantised.",
          name_of(w.dtype()));
  check_global_scale("quantize", global_scale, f);
  return f.coding == Coding::affine ? quantize_affine(w, f, s)
                                    : quantize_floats(w, f, global_scale);
}

}  // namespace tarn
