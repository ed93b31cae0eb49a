// NumPy's .npy format: the header and the numbers after it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "tarn/array.h"

namespace tarn::io {

struct NpyHeader {
  Dtype dtype{};
  Shape shape{};
  bool fortran_order = false;
  bool big_endian = false;
  size_t header_bytes = 0;  // of the file, before the numbers
  size_t data_bytes = 0;
};

// Reads the header at the front of `bytes` (the whole file, or as much as holds the header). `name`
// is the file or the archive entry. Throws FileError.
NpyHeader parse_npy(std::span<const std::byte> bytes, const std::string& name);
// How many bytes from the front parse_npy needs; `front` holds npy_front_bytes of them or the whole
// file.
inline constexpr size_t npy_front_bytes = 12;
size_t npy_header_bytes(std::span<const std::byte> front, const std::string& name);

// Row-major, little-endian numbers need no more work; anything else must go through `normalise`.
inline bool is_plain(const NpyHeader& h) { return !h.fortran_order && !h.big_endian; }
// Writes the numbers of `data` to `to` in row-major order and in this machine's byte order.
void normalise(const NpyHeader& h, std::span<const std::byte> data, std::byte* to);

// The header that `save` writes for an array; its length is a multiple of 64.
std::string npy_header(const Shape& shape, Dtype dtype);

}  // namespace tarn::io
