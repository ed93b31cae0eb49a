#include "io/npy.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "base/printable.h"
#include "base/require.h"
#include "io/atomic_write.h"
#include "io/fresh_array.h"
#include "io/mapped_file.h"
#include "io/row_major.h"
#include "tarn/io.h"

namespace tarn {
namespace io {
namespace {

// A complex number is two floats, each with a byte order of its own.
size_t bytes_to_swap(Dtype t) { return t == complex64 ? sizeof(float) : t.size; }

}  // namespace

void normalise(const NpyHeader& h, std::span<const std::byte> data, std::byte* to) {
  size_t item = h.dtype.size;
  if (data.empty()) return;
  if (h.fortran_order) {
    Strides strides;
    int64_t step = 1;
    for (int64_t size : h.shape) {
      strides.push_back(step);
      step *= size;
    }
    gather(data.data(), h.shape, strides, item, to);
  } else {
    std::memcpy(to, data.data(), data.size());
  }
  if (h.big_endian)
    for (size_t i = 0, part = bytes_to_swap(h.dtype); i < data.size(); i += part)
      std::reverse(to + i, to + i + part);
  if (h.dtype == bool_) make_bools({to, data.size()});
}

}  // namespace io

namespace {

array load(const std::shared_ptr<const io::FileBytes>& bytes) {
  const std::string& file = bytes->path();
  auto header = io::parse_npy(bytes->bytes(), file);
  auto data = bytes->bytes().subspan(header.header_bytes);
  require<FileError>(data.size() == header.data_bytes,
                     "[load] {}: byte {}: {} bytes of numbers, {} of shape ({}) needs {}. The file "
                     "is cut off or damaged; save it again.",
                     printable(file, 4096), header.header_bytes, data.size(), name_of(header.dtype),
                     joined(header.shape), header.data_bytes);
  if (io::is_plain(header)) return io::alias(bytes, data, header.shape, header.dtype);
  io::FreshArray numbers(header.shape, header.dtype);
  io::normalise(header, data, numbers.data());
  return numbers.take();
}

}  // namespace

array load(const std::string& file, StreamOrDevice) { return load(io::FileBytes::open(file)); }
array load(const std::shared_ptr<io::Reader>& in, StreamOrDevice) {
  return load(io::FileBytes::take(in.get()));
}

void save(const std::shared_ptr<io::Writer>& out, const array& a) {
  io::RowMajor numbers(a);
  io::put(out.get(), io::npy_header(a.shape(), a.dtype()));
  io::put(out.get(), numbers.bytes());
}
void save(const std::string& file, const array& a) {
  io::RowMajor numbers(a);
  io::AtomicFile out(file);
  out.write(io::npy_header(a.shape(), a.dtype()));
  out.write(numbers.bytes());
  out.commit();
}

}  // namespace tarn
