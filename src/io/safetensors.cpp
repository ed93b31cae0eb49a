#include "io/safetensors.h"

#include <algorithm>
#include <filesystem>
#include <map>

#include "base/json.h"
#include "base/printable.h"
#include "base/require.h"
#include "io/atomic_write.h"
#include "io/mapped_file.h"
#include "io/row_major.h"
#include "tarn/io.h"

namespace tarn {
namespace {

namespace fs = std::filesystem;

constexpr size_t shard_limit = 10'000;

const char* safetensors_name(Dtype t) {
  constexpr const char* names[] = {"BOOL", "U8",  "U16", "U32", "U64", "I8",   "I16",
                                   "I32",  "I64", "F16", "F32", "F64", "BF16", "C64"};
  return names[static_cast<int>(t.val)];
}

// Adds the tensors of one file to `all`; a name that is there already is refused.
void load_into(SafetensorsLoad& all, const std::shared_ptr<const io::FileBytes>& file) {
  const std::string& path = file->path();
  auto header = io::parse_safetensors(file->bytes(), path);
  for (const auto& t : header.tensors) {
    bool fresh = all.first.emplace(t.name, io::alias(file, t.bytes, t.shape, t.dtype)).second;
    require<FileError>(fresh, "[load] {}: tensor \"{}\" stands in another shard too.",
                       printable(path, 4096), printable(t.name));
  }
  all.second.merge(header.metadata);
}

void load_into(SafetensorsLoad& all, const std::string& path) {
  load_into(all, io::FileBytes::open(path));
}

// Shard names and the tensors each must have. A shard lies in the folder of the index itself.
std::map<std::string, std::vector<std::string>> read_index(const std::string& path) {
  Json index = load_json(path);
  bool good = index.is_object() && index.contains("weight_map") && index["weight_map"].is_object();
  require<FileError>(good, "[load] {}: there is no object \"weight_map\". Fetch the file again.",
                     printable(path, 4096));
  std::map<std::string, std::vector<std::string>> shards;
  for (const auto& [tensor, shard] : index["weight_map"].items()) {
    auto name = shard.is_string() ? shard.get<std::string>() : std::string();
    bool plain = !name.empty() && name.find('/') == name.npos && name.find('\0') == name.npos &&
                 name != "." && name != "..";
    require<FileError>(plain,
                       "[load] {}: tensor \"{}\" is said to lie in \"{}\"; the name of a file in "
                       "the same folder is needed.",
                       printable(path, 4096), printable(tensor), printable(name));
    shards[name].push_back(tensor);
  }
  require<FileError>(shards.size() <= shard_limit, "[load] {}: {} shards, at most {} are read.",
                     printable(path, 4096), shards.size(), shard_limit);
  return shards;
}

std::vector<std::string> safetensors_files(const std::string& dir) {
  std::vector<std::string> files;
  std::error_code error;
  for (fs::directory_iterator it(dir, error), end; !error && it != end; it.increment(error))
    if (it->path().extension() == ".safetensors") files.push_back(it->path().string());
  require<FileError>(!error, "[load] {}: cannot list the folder: {}.", printable(dir, 4096),
                     error.message());
  require<FileError>(!files.empty(),
                     "[load] {}: the folder holds no .safetensors file. Check the path.",
                     printable(dir, 4096));
  require<FileError>(files.size() <= shard_limit, "[load] {}: {} shards, at most {} are read.",
                     printable(dir, 4096), files.size(), shard_limit);
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace

SafetensorsLoad load_safetensors(const std::string& file, StreamOrDevice) {
  SafetensorsLoad all;
  load_into(all, file);
  return all;
}

SafetensorsLoad load_safetensors(const std::shared_ptr<io::Reader>& in, StreamOrDevice) {
  SafetensorsLoad all;
  load_into(all, io::FileBytes::take(in.get()));
  return all;
}

SafetensorsLoad load_safetensors_dir(const std::string& dir) {
  SafetensorsLoad all;
  auto index = (fs::path(dir) / "model.safetensors.index.json").string();
  auto single = (fs::path(dir) / "model.safetensors").string();
  std::error_code ignored;
  if (fs::exists(index, ignored)) {
    for (const auto& [shard, tensors] : read_index(index)) {
      auto path = (fs::path(dir) / shard).string();
      load_into(all, path);
      for (const auto& tensor : tensors)
        require<FileError>(all.first.count(tensor) == 1,
                           "[load] {}: tensor \"{}\" is not there, although {} says so. Fetch the "
                           "shard again.",
                           printable(path, 4096), printable(tensor), printable(index, 4096));
    }
  } else if (fs::exists(single, ignored)) {
    load_into(all, single);
  } else {
    for (const auto& path : safetensors_files(dir)) load_into(all, path);
  }
  return all;
}

namespace {

// The text in front of the numbers, and the arrays in the order in which they follow.
struct SafetensorsOrder {
  std::string header{};
  std::vector<array> values{};
};

SafetensorsOrder order_of(const std::unordered_map<std::string, array>& arrays,
                          const std::unordered_map<std::string, std::string>& metadata) {
  // Larger elements first, as the format's own library does, so that all are aligned.
  std::vector<std::pair<std::string, array>> ordered(arrays.begin(), arrays.end());
  std::sort(ordered.begin(), ordered.end(), [](const auto& a, const auto& b) {
    size_t x = a.second.itemsize(), y = b.second.itemsize();
    return x != y ? x > y : a.first < b.first;
  });
  std::vector<array> values;
  OrderedJson header = OrderedJson::object();
  if (!metadata.empty()) header["__metadata__"] = std::map(metadata.begin(), metadata.end());
  size_t at = 0;
  for (const auto& [name, a] : ordered) {
    require(name != "__metadata__", "[save_safetensors] \"__metadata__\" cannot name a tensor.");
    std::vector<int64_t> shape(a.shape().begin(), a.shape().end());
    header[name] = {{"dtype", safetensors_name(a.dtype())},
                    {"shape", shape},
                    {"data_offsets", {at, at + a.nbytes()}}};
    at += a.nbytes();
    values.push_back(a);
  }
  eval(values);
  std::string text;
  try {
    text = header.dump();
  } catch (const OrderedJson::exception&) {
    fail("[save_safetensors] a name or a metadata text is not UTF-8.");
  }
  text.resize((text.size() + 7) / 8 * 8, ' ');
  uint64_t length = text.size();
  std::string front(reinterpret_cast<const char*>(&length), sizeof length);
  return {front + text, std::move(values)};
}

}  // namespace

void save_safetensors(const std::string& file, const std::unordered_map<std::string, array>& arrays,
                      const std::unordered_map<std::string, std::string>& metadata) {
  auto [header, values] = order_of(arrays, metadata);
  io::AtomicFile out(file);
  out.write(header);
  for (const auto& a : values) {
    io::AtomicFile::check_stop();
    out.write(io::RowMajor(a).bytes());
  }
  out.commit();
}
void save_safetensors(const std::shared_ptr<io::Writer>& out,
                      const std::unordered_map<std::string, array>& arrays,
                      const std::unordered_map<std::string, std::string>& metadata) {
  auto [header, values] = order_of(arrays, metadata);
  io::put(out.get(), header);
  for (const auto& a : values) io::put(out.get(), io::RowMajor(a).bytes());
}

}  // namespace tarn
