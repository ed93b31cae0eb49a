#include "io/row_major.h"

#include <cstring>

#include "base/require.h"

namespace tarn::io {

RowMajor::RowMajor(const array& a) : kept_(a) {
  kept_.eval();
  const auto* data = static_cast<const std::byte*>(kept_.data<void>());
  if (kept_.size() == 0) return;
  if (kept_.flags().row_contiguous) {
    bytes_ = {data, kept_.nbytes()};
    return;
  }
  copy_.resize(kept_.nbytes());
  gather(data, kept_.shape(), kept_.strides(), kept_.itemsize(), copy_.data());
  bytes_ = copy_;
}

void gather(const std::byte* from, const Shape& shape, const Strides& strides, size_t item,
            std::byte* to) {
  int64_t count = 1;
  for (int64_t d : shape) count *= d;
  Shape index(shape.size(), 0);
  int64_t at = 0;
  for (int64_t i = 0; i < count; ++i, to += item) {
    std::memcpy(to, from + at * static_cast<int64_t>(item), item);
    for (size_t axis = shape.size(); axis-- > 0;) {
      at += strides[axis];
      if (++index[axis] < shape[axis]) break;
      at -= strides[axis] * shape[axis];
      index[axis] = 0;
    }
  }
}

void put(Writer* out, std::span<const std::byte> bytes) {
  require<FileError>(out && out->is_open() && out->good(), "[save] the writer is not open.");
  out->write(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}
void put(Writer* out, std::string_view text) {
  put(out, std::as_bytes(std::span(text.data(), text.size())));
}

}  // namespace tarn::io
