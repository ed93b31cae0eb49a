#include "tarn/gguf.h"

#include "base/printable.h"
#include "base/require.h"
#include "io/gguf_blocks.h"
#include "io/gguf_header.h"
#include "io/gguf_values.h"
#include "io/gguf_weights.h"
#include "io/mapped_file.h"

namespace tarn {

struct GgufFile::Content {
  std::shared_ptr<const io::FileBytes> file{};
  io::GgufHeader header{};
};

namespace {

[[noreturn]] void fail_kind(const GgufFile& file, std::string_view key, const GgufValue& found,
                            const char* needed) {
  fail<FileError>("[load] {}: \"{}\" holds {}{}, {} is needed.", printable(file.path(), 4096),
                  printable(key), found.is_list ? "a list of " : "", io::name_of(found.type),
                  needed);
}

const GgufValue& existing(const GgufFile& file, std::string_view key) {
  const GgufValue* found = file.find(key);
  require<FileError>(found != nullptr,
                     "[load] {}: the metadata has no \"{}\". The file is not complete; convert the "
                     "model again.",
                     printable(file.path(), 4096), printable(key));
  return *found;
}

}  // namespace

const char* name_of(GgmlType t) { return io::layout_of(t).name; }

int64_t GgufTensor::rows() const {
  int64_t n = 1;
  for (size_t i = 0; i + 1 < shape.size(); ++i) n *= shape[i];
  return n;
}

GgufFile GgufFile::open(const std::string& path) {
  auto content = std::make_shared<Content>();
  content->file = io::FileBytes::open(path);
  content->header = io::parse_gguf(content->file->bytes(), path);
  return GgufFile(std::move(content));
}

const std::string& GgufFile::path() const { return content_->file->path(); }
uint32_t GgufFile::version() const { return content_->header.version; }
const std::vector<std::pair<std::string_view, GgufValue>>& GgufFile::metadata() const {
  return content_->header.metadata;
}
const std::vector<GgufTensor>& GgufFile::tensors() const { return content_->header.tensors; }

const GgufValue* GgufFile::find(std::string_view key) const {
  const auto& header = content_->header;
  auto found = header.key_index.find(key);
  return found == header.key_index.end() ? nullptr : &header.metadata[found->second].second;
}

const GgufTensor* GgufFile::find_tensor(std::string_view name) const {
  const auto& header = content_->header;
  auto found = header.tensor_index.find(name);
  return found == header.tensor_index.end() ? nullptr : &header.tensors[found->second];
}

int64_t GgufFile::integer(std::string_view key, std::optional<int64_t> otherwise) const {
  if (otherwise && !has(key)) return *otherwise;
  const GgufValue& v = existing(*this, key);
  auto value = v.is_list ? std::nullopt : io::integer_at(v, 0);
  if (!value) fail_kind(*this, key, v, "an integer that fits 64 bits");
  return *value;
}

double GgufFile::number(std::string_view key, std::optional<double> otherwise) const {
  if (otherwise && !has(key)) return *otherwise;
  const GgufValue& v = existing(*this, key);
  auto value = v.is_list ? std::nullopt : io::number_at(v, 0);
  if (!value) fail_kind(*this, key, v, "a number");
  return *value;
}

bool GgufFile::boolean(std::string_view key, std::optional<bool> otherwise) const {
  if (otherwise && !has(key)) return *otherwise;
  const GgufValue& v = existing(*this, key);
  if (v.is_list || v.type != GgufValue::Type::bool_) fail_kind(*this, key, v, "a bool");
  return *v.data != std::byte{0};
}

std::string_view GgufFile::text(std::string_view key,
                                std::optional<std::string_view> otherwise) const {
  if (otherwise && !has(key)) return *otherwise;
  const GgufValue& v = existing(*this, key);
  if (v.is_list || v.type != GgufValue::Type::string) fail_kind(*this, key, v, "a text");
  return io::texts_of(v).front();
}

std::vector<int64_t> GgufFile::integers(std::string_view key) const {
  const GgufValue& v = existing(*this, key);
  if (!io::size_of(v.type)) fail_kind(*this, key, v, "a list of integers");
  std::vector<int64_t> all(v.count);
  for (uint64_t i = 0; i < v.count; ++i) {
    auto value = io::integer_at(v, i);
    if (!value) fail_kind(*this, key, v, "a list of integers that fit 64 bits");
    all[i] = *value;
  }
  return all;
}

std::vector<float> GgufFile::numbers(std::string_view key) const {
  const GgufValue& v = existing(*this, key);
  std::vector<float> all(v.count);
  for (uint64_t i = 0; i < v.count; ++i) {
    auto value = io::number_at(v, i);
    if (!value) fail_kind(*this, key, v, "a list of numbers");
    all[i] = static_cast<float>(*value);
  }
  return all;
}

std::vector<std::string_view> GgufFile::texts(std::string_view key) const {
  const GgufValue& v = existing(*this, key);
  if (v.type != GgufValue::Type::string) fail_kind(*this, key, v, "a list of texts");
  return io::texts_of(v);
}

GgufWeight GgufFile::tensor(std::string_view name, const GgufRowOrder& order) const {
  const GgufTensor* found = find_tensor(name);
  require<FileError>(found != nullptr, "[load] {}: there is no tensor \"{}\".",
                     printable(path(), 4096), printable(name));
  return io::load_weights(content_->file, {found, 1}, order, 1).front();
}

namespace {

GgufWeights named(const std::vector<GgufTensor>& tensors, std::vector<GgufWeight> weights) {
  GgufWeights all;
  for (size_t i = 0; i < weights.size(); ++i) all.emplace(tensors[i].name, std::move(weights[i]));
  return all;
}

}  // namespace

GgufWeights GgufFile::load_all(const GgufRowOrder& order, int threads) const {
  return named(tensors(), io::load_weights(content_->file, tensors(), order, threads));
}

GgufOutline GgufFile::outline(const GgufRowOrder& order) const {
  GgufOutline all;
  all.weights =
      named(tensors(), io::outline_weights(content_->file, tensors(), order, all.memory_bytes));
  return all;
}

}  // namespace tarn
