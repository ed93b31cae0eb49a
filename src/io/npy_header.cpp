#include <charconv>

#include "base/byte_reader.h"
#include "base/checked.h"
#include "base/printable.h"
#include "io/mapped_file.h"
#include "io/npy.h"

namespace tarn::io {
namespace {

constexpr std::string_view magic = "\x93NUMPY";
constexpr uint32_t header_limit = 1 << 20;  // structured types need more, and are not read
constexpr size_t rank_limit = 32;

struct DescrName {
  const char* name;  // without the byte order
  Dtype dtype;
};
constexpr DescrName descr_names[] = {
    {"b1", bool_},   {"u1", uint8},   {"u2", uint16},    {"u4", uint32},   {"u8", uint64},
    {"i1", int8},    {"i2", int16},   {"i4", int32},     {"i8", int64},    {"f2", float16},
    {"f4", float32}, {"f8", float64}, {"c8", complex64}, {"V2", bfloat16},
};

// The header is a Python dict literal with the keys descr, fortran_order and shape. Only that is
// read: texts, True, False and a tuple of whole numbers.
class DictParser {
 public:
  DictParser(std::string_view text, size_t offset, const std::string& name, NpyHeader& out)
      : text_(text), offset_(offset), name_(name), out_(out) {}

  void parse() {
    expect('{');
    while (!accept('}')) {
      auto key = quoted("a key");
      expect(':');
      if (key == "descr")
        take(seen_descr_, key), read_descr();
      else if (key == "fortran_order")
        take(seen_order_, key), read_order();
      else if (key == "shape")
        take(seen_shape_, key), read_shape();
      else
        refuse(fmt::format("the unknown key '{}'", printable(key)));
      if (!accept(',')) {
        expect('}');
        break;
      }
    }
    skip_space();
    if (at_ != text_.size()) refuse("more text after the closing brace");
    if (!seen_descr_ || !seen_order_ || !seen_shape_)
      refuse("no 'descr', 'fortran_order' or 'shape'");
  }

 private:
  void take(bool& seen, std::string_view key) {
    if (seen) refuse(fmt::format("the key '{}' twice", key));
    seen = true;
  }

  void read_descr() {
    skip_space();
    if (at_ < text_.size() && text_[at_] == '[')
      refuse("a structured type; save each field as an array of its own");
    auto descr = quoted("a type");
    char order = descr.empty() ? ' ' : descr[0];
    auto kind = descr.substr(descr.empty() ? 0 : 1);
    if (kind.starts_with('O'))
      refuse("a pickle of Python objects, which is never run; save numbers instead");
    if (order != '<' && order != '>' && order != '|' && order != '=')
      refuse(fmt::format("the type '{}'", printable(descr)));
    for (const auto& known : descr_names) {
      if (kind != known.name) continue;
      out_.dtype = known.dtype;
      out_.big_endian = order == '>' && known.dtype.size > 1;
      return;
    }
    refuse(fmt::format("the type '{}', which no dtype here holds; convert the array before saving",
                       printable(descr)));
  }

  void read_order() {
    skip_space();
    auto rest = text_.substr(at_);
    if (!rest.starts_with("True") && !rest.starts_with("False"))
      refuse("a fortran_order that is neither True nor False");
    out_.fortran_order = rest[0] == 'T';
    at_ += out_.fortran_order ? 4 : 5;
  }

  void read_shape() {
    expect('(');
    while (!accept(')')) {
      if (out_.shape.size() == rank_limit)
        refuse(fmt::format("more than {} dimensions", rank_limit));
      out_.shape.push_back(natural());
      if (!accept(',')) {
        expect(')');
        break;
      }
    }
  }

  int64_t natural() {
    skip_space();
    int64_t value = -1;
    const char *first = text_.data() + at_, *last = text_.data() + text_.size();
    auto [end, error] = std::from_chars(first, last, value);
    if (error != std::errc() || value < 0)
      refuse("a size that is no whole number from 0 to 2^63 - 1");
    at_ += static_cast<size_t>(end - first);
    if (at_ < text_.size() && text_[at_] == 'L') ++at_;  // as Python 2 wrote long integers
    return value;
  }

  std::string_view quoted(const char* what) {
    skip_space();
    char quote = at_ < text_.size() ? text_[at_] : '\0';
    size_t end = quote == '\'' || quote == '"' ? text_.find(quote, at_ + 1) : text_.npos;
    if (end == text_.npos) refuse(fmt::format("no {} in quotes", what));
    auto inside = text_.substr(at_ + 1, end - at_ - 1);
    at_ = end + 1;
    return inside;
  }

  void skip_space() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\t'))
      ++at_;
  }
  bool accept(char c) {
    skip_space();
    if (at_ == text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  void expect(char c) {
    if (!accept(c)) refuse(fmt::format("no '{}'", c));
  }
  [[noreturn]] void refuse(const std::string& found) const {
    fail<FileError>("[load] {}: byte {}: the .npy header has {}.", name_, offset_ + at_, found);
  }

  std::string_view text_;
  size_t offset_;
  const std::string& name_;
  NpyHeader& out_;
  size_t at_ = 0;
  bool seen_descr_ = false, seen_order_ = false, seen_shape_ = false;
};

struct Front {
  size_t text_at = 0;
  size_t text_bytes = 0;
};

Front read_front(std::span<const std::byte> bytes, const std::string& name) {
  refuse_placeholder(bytes, name);
  ByteReader in(bytes, name);
  auto found = in.text(magic.size(), "the magic number");
  require<FileError>(found == magic,
                     "[load] {}: byte 0: an .npy file begins with \"\\x93NUMPY\", this one with "
                     "\"{}\".",
                     name, printable(found));
  auto major = in.read<uint8_t>("the version");
  in.read<uint8_t>("the version");
  require<FileError>(major >= 1 && major <= 3,
                     "[load] {}: byte 6: .npy version {}; versions 1 to 3 are read.", name, major);
  size_t length =
      major == 1 ? in.read<uint16_t>("the header length") : in.read<uint32_t>("the header length");
  require<FileError>(length <= header_limit,
                     "[load] {}: byte 8: a header of {} bytes, at most {} are read.", name, length,
                     header_limit);
  return Front{in.offset(), length};
}

}  // namespace

size_t npy_header_bytes(std::span<const std::byte> front, const std::string& name) {
  Front f = read_front(front, printable(name, 4096));
  return f.text_at + f.text_bytes;
}

NpyHeader parse_npy(std::span<const std::byte> bytes, const std::string& name) {
  std::string shown = printable(name, 4096);
  Front front = read_front(bytes, shown);
  ByteReader in(bytes, shown);
  in.seek(front.text_at, "the header");
  NpyHeader header;
  DictParser(in.text(front.text_bytes, "the header"), front.text_at, shown, header).parse();
  header.header_bytes = in.offset();
  std::optional<int64_t> count = header.dtype.size;
  for (int64_t size : header.shape) count = count ? checked_mul(*count, size) : count;
  require<FileError>(count.has_value(),
                     "[load] {}: the shape ({}) needs more bytes than 64 bits can count.", shown,
                     joined(header.shape));
  header.data_bytes = static_cast<size_t>(*count);
  return header;
}

std::string npy_header(const Shape& shape, Dtype dtype) {
  std::string descr;
  for (const auto& known : descr_names)
    if (known.dtype == dtype) descr = known.name;
  std::string sizes = fmt::format("{}", joined(shape));
  if (shape.size() == 1) sizes += ',';
  auto text = fmt::format("{{'descr': '{}{}', 'fortran_order': False, 'shape': ({}), }}",
                          dtype.size == 1 ? '|' : '<', descr, sizes);
  // Version 1 has two bytes for the length: enough for any shape of 32 dimensions.
  constexpr size_t fixed = magic.size() + 4;
  size_t total = (fixed + text.size() + 1 + 63) / 64 * 64;
  text.resize(total - fixed - 1, ' ');
  text += '\n';
  auto length = static_cast<uint16_t>(text.size());
  std::string out(magic);
  out += {'\x01', '\x00', static_cast<char>(length & 255), static_cast<char>(length >> 8)};
  return out + text;
}

}  // namespace tarn::io
