#include "io/gguf_header.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/byte_reader.h"
#include "base/checked.h"
#include "base/printable.h"
#include "io/mapped_file.h"

namespace tarn::io {
namespace {

using Type = GgufValue::Type;

constexpr uint64_t key_limit = 1 << 16;     // of the metadata; real files have some 50
constexpr uint64_t tensor_limit = 1 << 20;  // the largest models have some 10,000
constexpr uint64_t name_limit = 4096;       // bytes of a tensor's name; GGML writes at most 64
constexpr uint64_t key_bytes_limit = 65535;
constexpr uint32_t rank_limit = 4;
constexpr uint64_t alignment_limit = 1 << 16;
// The least that one key (length, one byte, type, value) and one tensor can take up: counts beyond
// what the rest of the file could hold are refused before memory is set aside for them.
constexpr uint64_t least_key_bytes = 8 + 1 + 4 + 1;
constexpr uint64_t least_tensor_bytes = 8 + 1 + 4 + 8 + 4 + 8;

constexpr GgmlLayout layouts[] = {
    {GgmlType::f32, "F32", 1, 4},
    {GgmlType::f16, "F16", 1, 2},
    {GgmlType::q4_0, "Q4_0", 32, 18},
    {GgmlType::q4_1, "Q4_1", 32, 20},
    {GgmlType::q5_0, "Q5_0", 32, 22},
    {GgmlType::q5_1, "Q5_1", 32, 24},
    {GgmlType::q8_0, "Q8_0", 32, 34},
    {GgmlType::q2_k, "Q2_K", 256, 84},
    {GgmlType::q3_k, "Q3_K", 256, 110},
    {GgmlType::q4_k, "Q4_K", 256, 144},
    {GgmlType::q5_k, "Q5_K", 256, 176},
    {GgmlType::q6_k, "Q6_K", 256, 210},
    {GgmlType::iq2_xxs, "IQ2_XXS", 256, 66},
    {GgmlType::iq2_xs, "IQ2_XS", 256, 74},
    {GgmlType::iq3_xxs, "IQ3_XXS", 256, 98},
    {GgmlType::iq1_s, "IQ1_S", 256, 50},
    {GgmlType::iq4_nl, "IQ4_NL", 32, 18},
    {GgmlType::iq3_s, "IQ3_S", 256, 110},
    {GgmlType::iq2_s, "IQ2_S", 256, 82},
    {GgmlType::iq4_xs, "IQ4_XS", 256, 136},
    {GgmlType::i8, "I8", 1, 1},
    {GgmlType::i16, "I16", 1, 2},
    {GgmlType::i32, "I32", 1, 4},
    {GgmlType::i64, "I64", 1, 8},
    {GgmlType::f64, "F64", 1, 8},
    {GgmlType::iq1_m, "IQ1_M", 256, 56},
    {GgmlType::bf16, "BF16", 1, 2},
    {GgmlType::tq1_0, "TQ1_0", 256, 54},
    {GgmlType::tq2_0, "TQ2_0", 256, 66},
    {GgmlType::mxfp4, "MXFP4", 32, 17},
};

class Parser {
 public:
  Parser(std::span<const std::byte> file, const std::string& path)
      : file_(file), path_(printable(path, 4096)), in_(file, path_) {}

  GgufHeader parse() {
    read_preamble();
    auto tensors = in_.read<uint64_t>("the tensor count");
    auto keys = in_.read<uint64_t>("the metadata count");
    check_count(keys, key_limit, least_key_bytes, "metadata keys");
    check_count(tensors, tensor_limit, least_tensor_bytes, "tensors");
    header_.metadata.reserve(static_cast<size_t>(keys));
    for (uint64_t i = 0; i < keys; ++i) read_key();
    header_.tensors.reserve(static_cast<size_t>(tensors));
    for (uint64_t i = 0; i < tensors; ++i) read_tensor();
    place_tensors();
    return std::move(header_);
  }

 private:
  void read_preamble() {
    refuse_placeholder(file_, path_);
    auto magic = in_.text(4, "the magic number");
    require<FileError>(magic == "GGUF",
                       "[load] {}: byte 0: a GGUF file begins with \"GGUF\", this one with \"{}\". "
                       "Convert older GGML formats to GGUF first.",
                       path_, printable(magic));
    header_.version = in_.read<uint32_t>("the version");
    require<FileError>(header_.version != 0 && (header_.version & 0xffff) != 0,
                       "[load] {}: byte 4: the file is big-endian. Convert it to little-endian.",
                       path_);
    require<FileError>(header_.version == 2 || header_.version == 3,
                       "[load] {}: byte 4: GGUF version {}; versions 2 and 3 are read. Convert the "
                       "model again.",
                       path_, header_.version);
  }

  void check_count(uint64_t count, uint64_t limit, uint64_t least_bytes, const char* what) const {
    require<FileError>(count <= limit, "[load] {}: byte {}: {} {}, at most {} are read.", path_,
                       in_.offset(), count, what, limit);
    require<FileError>(count <= in_.remaining() / least_bytes,
                       "[load] {}: byte {}: {} {} do not fit into the {} bytes left. The file is "
                       "cut off or damaged; fetch it again.",
                       path_, in_.offset(), count, what, in_.remaining());
  }

  std::string_view read_name(uint64_t limit, const char* what) {
    size_t at = in_.offset();
    auto length = in_.read<uint64_t>(what);
    require<FileError>(length > 0 && length <= limit,
                       "[load] {}: byte {}: {} has {} bytes, 1 to {} are allowed.", path_, at, what,
                       length, limit);
    return in_.text(length, what);
  }

  void read_key() {
    size_t at = in_.offset();
    auto key = read_name(key_bytes_limit, "a metadata key");
    bool fresh = header_.key_index.emplace(key, header_.metadata.size()).second;
    require<FileError>(fresh, "[load] {}: byte {}: the metadata key \"{}\" stands twice.", path_,
                       at, printable(key));
    header_.metadata.emplace_back(key, read_value(key));
  }

  GgufValue read_value(std::string_view key) {
    GgufValue value;
    value.type = read_type(key);
    if (value.type == Type::list) {
      value.is_list = true;
      value.type = read_type(key);
      require<FileError>(value.type != Type::list,
                         "[load] {}: byte {}: \"{}\" is a list of lists; lists of numbers, bools "
                         "or texts are read.",
                         path_, in_.offset(), printable(key));
      value.count = in_.read<uint64_t>("the length of a list");
    }
    size_t each = value.type == Type::string ? 8 : size_of(value.type);
    require<FileError>(value.count <= in_.remaining() / each,
                       "[load] {}: byte {}: \"{}\" has {} values of {} bytes or more, {} bytes are "
                       "left. The file is cut off or damaged; fetch it again.",
                       path_, in_.offset(), printable(key), value.count, each, in_.remaining());
    size_t at = in_.offset();
    value.data = file_.data() + at;
    if (value.type == Type::string)
      skip_texts(value.count);
    else
      in_.take(value.count * each, "a metadata value");
    if (value.type == Type::bool_) check_bools(value, key, at);
    return value;
  }

  Type read_type(std::string_view key) {
    size_t at = in_.offset();
    auto type = in_.read<uint32_t>("the type of a metadata value");
    require<FileError>(type <= static_cast<uint32_t>(Type::float64),
                       "[load] {}: byte {}: \"{}\" has the unknown type {}; 0 to 12 are known.",
                       path_, at, printable(key), type);
    return static_cast<Type>(type);
  }

  void skip_texts(uint64_t count) {
    for (uint64_t i = 0; i < count; ++i)
      in_.take(in_.read<uint64_t>("the length of a text"), "a text");
  }

  void check_bools(const GgufValue& value, std::string_view key, size_t at) const {
    for (uint64_t i = 0; i < value.count; ++i)
      require<FileError>(std::to_integer<int>(value.data[i]) <= 1,
                         "[load] {}: byte {}: \"{}\" holds the bool {}; 0 and 1 are allowed.",
                         path_, at + i, printable(key), std::to_integer<int>(value.data[i]));
  }

  void read_tensor() {
    size_t at = in_.offset();
    GgufTensor t;
    t.name = read_name(name_limit, "a tensor's name");
    bool fresh = header_.tensor_index.emplace(t.name, header_.tensors.size()).second;
    require<FileError>(fresh, "[load] {}: byte {}: the tensor \"{}\" stands twice.", path_, at,
                       printable(t.name));
    at = in_.offset();
    auto rank = in_.read<uint32_t>("a tensor's number of dimensions");
    require<FileError>(rank >= 1 && rank <= rank_limit,
                       "[load] {}: byte {}: tensor \"{}\" has {} dimensions, 1 to {} are allowed.",
                       path_, at, printable(t.name), rank, rank_limit);
    t.shape.resize(rank);
    for (uint32_t i = 0; i < rank; ++i) {  // the file lists the contiguous axis first
      at = in_.offset();
      auto size = in_.read<uint64_t>("a tensor's size");
      require<FileError>(size >= 1 && size <= uint64_t{INT64_MAX},
                         "[load] {}: byte {}: tensor \"{}\" has a size of {}.", path_, at,
                         printable(t.name), size);
      t.shape[rank - 1 - i] = static_cast<int64_t>(size);
    }
    at = in_.offset();
    auto type = in_.read<uint32_t>("a tensor's type");
    require<FileError>(find_layout(type) != nullptr,
                       "[load] {}: byte {}: tensor \"{}\" has the unknown type {}. It may come "
                       "from a newer program; convert it to Q4_1, Q8_0 or F16.",
                       path_, at, printable(t.name), type);
    t.type = static_cast<GgmlType>(type);
    t.offset = in_.read<uint64_t>("a tensor's offset");
    t.bytes = file_.subspan(0, data_bytes(t, at));
    header_.tensors.push_back(t);
  }

  // The bytes of the tensor, which must be no more than the file has.
  size_t data_bytes(const GgufTensor& t, size_t at) const {
    const GgmlLayout& layout = layout_of(t.type);
    require<FileError>(t.columns() % layout.block == 0,
                       "[load] {}: byte {}: tensor \"{}\" is {} with rows of {}; a multiple of {} "
                       "is needed.",
                       path_, at, printable(t.name), layout.name, t.columns(), layout.block);
    auto bytes = checked_mul(t.columns() / layout.block, layout.bytes);
    for (size_t i = 0; bytes && i + 1 < t.shape.size(); ++i)
      bytes = checked_mul(*bytes, t.shape[i]);
    bool fits = bytes && static_cast<uint64_t>(*bytes) <= file_.size();
    require<FileError>(fits,
                       "[load] {}: byte {}: tensor \"{}\" of shape ({}) needs more bytes than the "
                       "file has ({}). The file is cut off or damaged; fetch it again.",
                       path_, at, printable(t.name), joined(t.shape), file_.size());
    return static_cast<size_t>(*bytes);
  }

  uint64_t alignment() const {
    auto found = header_.key_index.find("general.alignment");
    if (found == header_.key_index.end()) return 32;
    const GgufValue& v = header_.metadata[found->second].second;
    uint32_t alignment = 0;
    if (v.type == Type::uint32 && !v.is_list) std::memcpy(&alignment, v.data, sizeof(alignment));
    require<FileError>(std::has_single_bit(alignment) && alignment <= alignment_limit,
                       "[load] {}: byte {}: general.alignment must be a uint32 and a power of two "
                       "up to {}.",
                       path_, v.data - file_.data(), alignment_limit);
    return alignment;
  }

  // Turns offsets into the data section to offsets into the file, and checks them.
  void place_tensors() {
    uint64_t align = alignment();
    uint64_t begin = (in_.offset() + align - 1) / align * align;
    std::vector<const GgufTensor*> by_place;
    for (auto& t : header_.tensors) {
      uint64_t size = t.bytes.size();
      require<FileError>(t.offset % align == 0,
                         "[load] {}: tensor \"{}\" lies at offset {}, which is no multiple of {}.",
                         path_, printable(t.name), t.offset, align);
      bool inside = begin <= file_.size() && t.offset <= file_.size() - begin &&
                    size <= file_.size() - begin - t.offset;
      require<FileError>(inside,
                         "[load] {}: tensor \"{}\" takes {} bytes from byte {} + {} on, the file "
                         "has {}. It is cut off or damaged; fetch it again.",
                         path_, printable(t.name), size, begin, t.offset, file_.size());
      t.offset += begin;
      t.bytes = file_.subspan(static_cast<size_t>(t.offset), static_cast<size_t>(size));
      by_place.push_back(&t);
    }
    std::sort(by_place.begin(), by_place.end(),
              [](auto* a, auto* b) { return a->offset < b->offset; });
    for (size_t i = 1; i < by_place.size(); ++i)
      require<FileError>(
          by_place[i - 1]->offset + by_place[i - 1]->bytes.size() <= by_place[i]->offset,
          "[load] {}: byte {}: the tensors \"{}\" and \"{}\" overlap. The file is damaged; fetch "
          "it again.",
          path_, by_place[i]->offset, printable(by_place[i - 1]->name),
          printable(by_place[i]->name));
  }

  std::span<const std::byte> file_;
  std::string path_;
  ByteReader in_;
  GgufHeader header_;
};

}  // namespace

GgufHeader parse_gguf(std::span<const std::byte> file, const std::string& path) {
  return Parser(file, path).parse();
}

const GgmlLayout* find_layout(uint32_t type) {
  for (const auto& layout : layouts)
    if (static_cast<uint32_t>(layout.type) == type) return &layout;
  return nullptr;
}

const GgmlLayout& layout_of(GgmlType type) {
  const GgmlLayout* found = find_layout(static_cast<uint32_t>(type));
  require(found != nullptr, "[gguf] {} is no GGML type.", static_cast<uint32_t>(type));
  return *found;
}

size_t size_of(GgufValue::Type type) {
  switch (type) {
    case Type::uint8:
    case Type::int8:
    case Type::bool_:
      return 1;
    case Type::uint16:
    case Type::int16:
      return 2;
    case Type::uint32:
    case Type::int32:
    case Type::float32:
      return 4;
    case Type::uint64:
    case Type::int64:
    case Type::float64:
      return 8;
    case Type::string:
    case Type::list:
      break;
  }
  return 0;
}

const char* name_of(GgufValue::Type type) {
  constexpr const char* names[] = {"uint8",  "int8",    "uint16", "int16", "uint32",
                                   "int32",  "float32", "bool",   "text",  "list",
                                   "uint64", "int64",   "float64"};
  return names[static_cast<uint32_t>(type)];
}

}  // namespace tarn::io
