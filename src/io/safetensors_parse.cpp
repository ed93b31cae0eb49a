#include <algorithm>

#include "base/byte_reader.h"
#include "base/checked.h"
#include "base/json.h"
#include "base/printable.h"
#include "io/mapped_file.h"
#include "io/safetensors.h"

namespace tarn::io {
namespace {

constexpr uint64_t header_limit = 100'000'000;  // bytes, as the format's own library has it
constexpr size_t tensor_limit = 1'000'000;
constexpr size_t name_limit = 4096;
constexpr size_t rank_limit = 8;

struct DtypeName {
  const char* name;
  Dtype dtype;
};
constexpr DtypeName dtype_names[] = {
    {"BOOL", bool_},    {"U8", uint8},      {"U16", uint16},    {"U32", uint32},
    {"U64", uint64},    {"I8", int8},       {"I16", int16},     {"I32", int32},
    {"I64", int64},     {"F16", float16},   {"F32", float32},   {"F64", float64},
    {"BF16", bfloat16}, {"C64", complex64}, {"F8_E4M3", uint8}, {"F8_E5M2", uint8},
    {"F8_E8M0", uint8},
};

class Parser {
 public:
  Parser(std::span<const std::byte> file, const std::string& path)
      : file_(file), path_(printable(path, 4096)) {}

  SafetensorsHeader parse() {
    refuse_placeholder(file_, path_);
    ByteReader in(file_, path_);
    auto length = in.read<uint64_t>("the header length");
    require<FileError>(length <= header_limit,
                       "[load] {}: byte 0: a header of {} bytes; at most {} are allowed. This is "
                       "no safetensors file, or it is damaged.",
                       path_, length, header_limit);
    text_ = in.text(length, "the header");
    require<FileError>(text_.starts_with('{'),
                       "[load] {}: byte 8: the header must begin with \"{{\". This is no "
                       "safetensors file, or it is damaged.",
                       path_);
    data_ = file_.subspan(in.offset());
    Json header = parse_json(text_, path_ + " (header, 8 bytes in)");
    require<FileError>(header.size() <= tensor_limit,
                       "[load] {}: the header lists {} tensors, at most {} are read.", path_,
                       header.size(), tensor_limit);
    for (const auto& [name, entry] : header.items()) {
      if (name == "__metadata__")
        read_metadata(entry);
      else
        read_tensor(name, entry);
    }
    check_cover();
    return std::move(result_);
  }

 private:
  void read_metadata(const Json& entry) {
    if (entry.is_null()) return;  // so MLX writes it when there is none
    require<FileError>(entry.is_object(), "[load] {}: \"__metadata__\" is not an object.", path_);
    for (const auto& [key, value] : entry.items()) {
      require<FileError>(value.is_string(),
                         "[load] {}: \"__metadata__\" has a value for \"{}\" that is not a text.",
                         path_, printable(key));
      result_.metadata.emplace(key, value.get<std::string>());
    }
  }

  void read_tensor(const std::string& name, const Json& entry) {
    require<FileError>(name.size() <= name_limit,
                       "[load] {}: a tensor has a name of {} bytes, at most {} are allowed.", path_,
                       name.size(), name_limit);
    if (!entry.is_object()) refuse(name, "its entry is not an object");
    for (const auto& [key, value] : entry.items())
      if (key != "dtype" && key != "shape" && key != "data_offsets")
        refuse(name, fmt::format("its entry has an unknown key \"{}\"", printable(key)));
    SafetensorsTensor t;
    t.name = name;
    t.dtype = read_dtype(name, entry);
    std::optional<int64_t> needed = t.dtype.size;
    for (const Json& size : member(name, entry, "shape", rank_limit)) {
      t.shape.push_back(natural(name, size, "a size"));
      needed = needed ? checked_mul(*needed, t.shape.back()) : needed;
    }
    const Json& offsets = member(name, entry, "data_offsets", 2);
    if (offsets.size() != 2) refuse(name, "data_offsets must hold two numbers");
    int64_t begin = natural(name, offsets[0], "an offset");
    int64_t end = natural(name, offsets[1], "an offset");
    if (begin > end || static_cast<uint64_t>(end) > data_.size())
      refuse(name, fmt::format("data_offsets {}..{} leave the {} bytes of data", begin, end,
                               data_.size()));
    if (needed != end - begin)
      refuse(name, fmt::format("data_offsets {}..{} hold {} bytes but {} of shape ({}) needs {}",
                               begin, end, end - begin, entry["dtype"].get<std::string>(),
                               joined(t.shape), needed ? fmt::format("{}", *needed) : "more"));
    t.bytes = data_.subspan(static_cast<size_t>(begin), static_cast<size_t>(end - begin));
    result_.tensors.push_back(std::move(t));
  }

  Dtype read_dtype(const std::string& name, const Json& entry) const {
    auto found = entry.find("dtype");
    if (found == entry.end() || !found->is_string()) refuse(name, "its entry has no dtype");
    auto text = found->get<std::string>();
    for (const auto& known : dtype_names)
      if (text == known.name) return known.dtype;
    refuse(name,
           fmt::format("its dtype is \"{}\"; BOOL, U8 to U64, I8 to I64, F16, BF16, F32, F64, "
                       "C64 and F8 are read",
                       printable(text)));
  }

  const Json& member(const std::string& name, const Json& entry, const char* key,
                     size_t limit) const {
    auto found = entry.find(key);
    if (found == entry.end() || !found->is_array())
      refuse(name, fmt::format("its entry has no list \"{}\"", key));
    if (found->size() > limit)
      refuse(name, fmt::format("\"{}\" has {} numbers, at most {} are allowed", key, found->size(),
                               limit));
    return *found;
  }

  int64_t natural(const std::string& name, const Json& value, const char* what) const {
    bool fits = value.is_number_unsigned() && value.get<uint64_t>() <= uint64_t{INT64_MAX};
    if (!fits)
      refuse(name, fmt::format("{} is {}; a whole number from 0 to 2^63 - 1 is needed", what,
                               printable(value.dump(-1, ' ', true))));
    return value.get<int64_t>();
  }

  void check_cover() {
    auto& all = result_.tensors;
    std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) {
      return std::pair(a.bytes.data(), a.bytes.size()) < std::pair(b.bytes.data(), b.bytes.size());
    });
    const std::byte* expected = data_.data();
    for (const auto& t : all) {
      if (t.bytes.data() != expected)
        refuse(t.name, fmt::format("its data begins at {}, the data before it ends at {}: tensors "
                                   "must cover the data without hole or overlap",
                                   t.bytes.data() - data_.data(), expected - data_.data()));
      expected += t.bytes.size();
    }
    require<FileError>(expected == data_.data() + data_.size(),
                       "[load] {}: byte {}: {} bytes after the last tensor belong to none. The "
                       "file is damaged; fetch it again.",
                       path_, expected - file_.data(), data_.data() + data_.size() - expected);
  }

  // Names the tensor and where its key stands (0 for a key that is written with escapes).
  [[noreturn]] void refuse(const std::string& name, const std::string& why) const {
    size_t at = text_.find('"' + name + '"');
    fail<FileError>(
        "[load] {}: tensor \"{}\" (header byte {}): {}. The file is damaged; fetch it "
        "again.",
        path_, printable(name), at == text_.npos ? 0 : at, why);
  }

  std::span<const std::byte> file_, data_{};
  std::string path_;
  std::string_view text_{};
  SafetensorsHeader result_;
};

}  // namespace

SafetensorsHeader parse_safetensors(std::span<const std::byte> file, const std::string& path) {
  return Parser(file, path).parse();
}

}  // namespace tarn::io
