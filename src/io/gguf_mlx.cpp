// load_gguf and save_gguf: GGUF as MLX sees it, two flat maps.
#include <algorithm>
#include <cstring>
#include <map>

#include "base/printable.h"
#include "base/require.h"
#include "io/atomic_write.h"
#include "io/fresh_array.h"
#include "io/gguf_encode.h"
#include "io/gguf_header.h"
#include "io/gguf_values.h"
#include "io/mapped_file.h"
#include "io/row_major.h"
#include "tarn/io.h"

namespace tarn {
namespace {

using Type = GgufValue::Type;

constexpr uint32_t alignment = 32;
constexpr std::string_view weight_suffix = ".weight";

struct TypeOfDtype {
  Dtype dtype;
  Type type;
};
constexpr TypeOfDtype value_types[] = {
    {uint8, Type::uint8},   {int8, Type::int8},   {uint16, Type::uint16},   {int16, Type::int16},
    {uint32, Type::uint32}, {int32, Type::int32}, {float32, Type::float32}, {bool_, Type::bool_},
    {uint64, Type::uint64}, {int64, Type::int64}, {float64, Type::float64},
};

struct GgmlOfDtype {
  Dtype dtype;
  GgmlType type;
};
constexpr GgmlOfDtype tensor_types[] = {
    {float32, GgmlType::f32}, {float16, GgmlType::f16}, {bfloat16, GgmlType::bf16},
    {float64, GgmlType::f64}, {int8, GgmlType::i8},     {int16, GgmlType::i16},
    {int32, GgmlType::i32},   {int64, GgmlType::i64},
};

// Builds the part of the file before the tensors' data.
class HeaderWriter {
 public:
  template <class T>
  void number(T value) {
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof(value));
  }
  void text(std::string_view value) {
    number(uint64_t{value.size()});
    bytes_.append(value);
  }
  void raw(std::span<const std::byte> bytes) {
    bytes_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }
  void align() { bytes_.resize((bytes_.size() + alignment - 1) / alignment * alignment, '\0'); }
  const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
};

void write_value(HeaderWriter& out, const std::string& key, const GGUFMetaData& value) {
  out.text(key);
  if (const auto* text = std::get_if<std::string>(&value)) {
    out.number(Type::string);
    out.text(*text);
  } else if (const auto* texts = std::get_if<std::vector<std::string>>(&value)) {
    out.number(Type::list);
    out.number(Type::string);
    out.number(uint64_t{texts->size()});
    for (const auto& t : *texts) out.text(t);
  } else {
    const auto& a = std::get<array>(value);
    const auto* known = std::find_if(std::begin(value_types), std::end(value_types),
                                     [&](const auto& t) { return t.dtype == a.dtype(); });
    require(known != std::end(value_types) && a.ndim() <= 1,
            "[save_gguf] the metadata value \"{}\" is {} with {} dimensions; a number, a bool or a "
            "list of them is needed.",
            printable(key), name_of(a.dtype()), a.ndim());
    if (a.ndim() == 1) {
      out.number(Type::list);
      out.number(known->type);
      out.number(uint64_t{a.size()});
    } else {
      out.number(known->type);
    }
    out.raw(io::RowMajor(a).bytes());
  }
}

// A tensor as it will lie in the file.
struct Tensor {
  std::string name{};
  Shape shape{};
  GgmlType type = GgmlType::f32;
  uint64_t bytes = 0;
  const GgufWeight* weight = nullptr;
};

GgmlType type_of(const std::string& name, const GgufWeight& weight) {
  if (const auto* q = std::get_if<GgufQuantised>(&weight)) {
    auto type = gguf_type_of(*q);
    require(type.has_value(),
            "[save_gguf] \"{}\" in {} bits and groups of {} fits no type of GGUF to the last bit. "
            "Dequantise it.",
            printable(name), q->bits, q->group_size);
    return *type;
  }
  Dtype dtype = std::get<array>(weight).dtype();
  const auto* known = std::find_if(std::begin(tensor_types), std::end(tensor_types),
                                   [&](const auto& t) { return t.dtype == dtype; });
  require(known != std::end(tensor_types),
          "[save_gguf] \"{}\" is {}, which GGUF does not know; float16, bfloat16, float32, float64 "
          "and int8 to int64 are written.",
          printable(name), name_of(dtype));
  return known->type;
}

Tensor tensor_of(const std::string& name, const GgufWeight& weight) {
  Tensor t{.name = name, .type = type_of(name, weight), .weight = &weight};
  const auto* q = std::get_if<GgufQuantised>(&weight);
  t.shape = q ? q->scales.shape() : std::get<array>(weight).shape();
  if (q) t.shape.back() *= q->group_size;
  uint64_t size = 1;
  for (int64_t d : t.shape) size *= static_cast<uint64_t>(d);
  require<ShapeError>(!t.shape.empty() && t.shape.size() <= 4 && size > 0,
                      "[save_gguf] \"{}\" has shape ({}); GGUF holds 1 to 4 dimensions, none of "
                      "size 0.",
                      printable(name), joined(t.shape));
  const io::GgmlLayout& layout = io::layout_of(t.type);
  t.bytes = size / layout.block * layout.bytes;
  return t;
}

void write_tensor_info(HeaderWriter& out, const Tensor& t, uint64_t at) {
  out.text(t.name);
  out.number(static_cast<uint32_t>(t.shape.size()));
  for (size_t i = t.shape.size(); i-- > 0;) out.number(static_cast<uint64_t>(t.shape[i]));
  out.number(t.type);
  out.number(at);
}

void write_numbers(io::AtomicFile& out, const Tensor& t) {
  if (const auto* q = std::get_if<GgufQuantised>(t.weight))
    out.write(std::span<const std::byte>(io::encode_blocks(*q, t.type)));
  else
    out.write(io::RowMajor(std::get<array>(*t.weight)).bytes());
  out.write(std::string((alignment - t.bytes % alignment) % alignment, '\0'));
}

}  // namespace

GGUFMetaData gguf_metadata(const GgufValue& v) {
  if (v.type == Type::string) {
    auto texts = io::texts_of(v);
    if (!v.is_list) return std::string(texts.front());
    return std::vector<std::string>(texts.begin(), texts.end());
  }
  auto known = std::find_if(std::begin(value_types), std::end(value_types),
                            [&](const auto& t) { return t.type == v.type; });
  Shape shape;
  if (v.is_list) shape.push_back(static_cast<int64_t>(v.count));
  io::FreshArray copy(shape, known->dtype);
  if (v.count) std::memcpy(copy.data(), v.data, v.count * known->dtype.size);
  return copy.take();
}

GGUFLoad load_gguf(const std::string& file, StreamOrDevice) {
  auto gguf = GgufFile::open(file);
  GGUFLoad loaded;
  for (const auto& [key, value] : gguf.metadata()) loaded.second.emplace(key, gguf_metadata(value));
  auto add = [&](const std::string& name, const array& a) {
    require<FileError>(loaded.first.emplace(name, a).second,
                       "[load] {}: two arrays would be called \"{}\": a tensor, and the scales or "
                       "biases of another. Use GgufFile.",
                       printable(file, 4096), printable(name));
  };
  for (auto& [name, weight] : gguf.load_all()) {
    auto* q = std::get_if<GgufQuantised>(&weight);
    add(name, q ? q->weight : std::get<array>(weight));
    if (!q) continue;
    std::string stem = name;
    if (stem.ends_with(weight_suffix)) stem.resize(stem.size() - weight_suffix.size());
    add(stem + ".scales", q->scales);
    add(stem + ".biases", q->biases);
  }
  return loaded;
}

void save_gguf(const std::string& file, const std::unordered_map<std::string, array>& arrays,
               const std::unordered_map<std::string, GGUFMetaData>& metadata) {
  save_gguf_weights(file, GgufWeights(arrays.begin(), arrays.end()), metadata);
}

void save_gguf_weights(const std::string& file, const GgufWeights& weights,
                       const std::unordered_map<std::string, GGUFMetaData>& metadata) {
  std::map<std::string, GGUFMetaData> keys;
  for (const auto& [key, value] : metadata) {
    require(key != "general.alignment",
            "[save_gguf] general.alignment is chosen here; leave it out of the metadata.");
    if (!std::holds_alternative<std::monostate>(value)) keys.emplace(key, value);
  }
  std::vector<Tensor> tensors;
  for (const auto& [name, weight] : weights) tensors.push_back(tensor_of(name, weight));
  std::sort(tensors.begin(), tensors.end(),
            [](const auto& a, const auto& b) { return a.name < b.name; });
  HeaderWriter header;
  header.raw(std::as_bytes(std::span("GGUF", 4)));
  header.number(uint32_t{3});
  header.number(uint64_t{tensors.size()});
  header.number(uint64_t{keys.size()});
  for (const auto& [key, value] : keys) write_value(header, key, value);
  uint64_t at = 0;
  for (const Tensor& t : tensors) {
    write_tensor_info(header, t, at);
    at += (t.bytes + alignment - 1) / alignment * alignment;
  }
  header.align();
  io::AtomicFile out(file);
  out.write(header.bytes());
  for (const Tensor& t : tensors) {
    io::AtomicFile::check_stop();
    write_numbers(out, t);
  }
  out.commit();
}

}  // namespace tarn
