// mlx-lm's files of prompt caches. Metadata is a flattened list: user metadata below "0", the
// layers' classes "1.i", and which arrays are scalars: "2.0" is empty, then "2.k.0" names the array
// and "2.k.1" its type. Before 0.32: the layers' numbers "0.i.j", metadata below "1", classes
// "2.i".
#include <algorithm>
#include <charconv>

#include "base/printable.h"
#include "base/require.h"
#include "lm/cache/parts.h"
#include "tarn/io.h"
#include "tarn/ops.h"

namespace tarn::lm {
namespace {

// Where a class's state holds its first number: after keys and values.
constexpr int first_number = 2;
constexpr size_t most_layers = 4096;

const char* const classes[] = {"KVCache", "RotatingKVCache", "QuantizedKVCache"};

struct File {
  std::string name{};
  std::unordered_map<std::string, array> arrays{};
  CacheMetadata metadata{};
  bool is_older() const { return metadata.count("2.0") > 0 && !metadata.at("2.0").empty(); }
};

std::vector<std::string> classes_of(const File& f) {
  std::vector<std::string> all;
  const char* list = f.is_older() ? "2" : "1";
  for (size_t i = 0; i < most_layers; ++i) {
    auto it = f.metadata.find(fmt::format("{}.{}", list, i));
    if (it == f.metadata.end()) break;
    bool known = std::find(std::begin(classes), std::end(classes), it->second) != std::end(classes);
    require<FileError>(known, "[load_cache] {}: layer {} is a {}; these can be read: {}.", f.name,
                       i, printable(it->second), joined(classes));
    all.push_back(it->second);
  }
  require<FileError>(!all.empty(), "[load_cache] {} holds no cache of a prompt.", f.name);
  return all;
}

int64_t number_in(const std::string& text, const std::string& place) {
  int64_t number = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  require<FileError>(error == std::errc() && end == text.data() + text.size(),
                     "{}: `{}` is not a number.", place, printable(text.substr(0, 40)));
  return number;
}

int64_t scalar_in(array a, const std::string& place) {
  require<FileError>(a.size() == 1 && issubdtype(a.dtype(), integer),
                     "{}: a number of shape {} and {} is not an integer.", place,
                     text_of(a.shape()), name_of(a.dtype()));
  return astype(a, int64).item<int64_t>();
}

// A layer's numbers in the order of mlx-lm's state.
std::vector<int64_t> numbers_of(const File& f, const std::string& kind, size_t layer,
                                const std::string& place) {
  std::vector<int64_t> numbers;
  if (!f.is_older()) {
    for (int i = first_number;; ++i) {
      auto it = f.arrays.find(fmt::format("{}.{}", layer, i));
      if (it == f.arrays.end()) return numbers;
      numbers.push_back(scalar_in(it->second, place));
    }
  }
  for (int i = 0;; ++i) {
    auto it = f.metadata.find(fmt::format("0.{}.{}", layer, i));
    if (it == f.metadata.end()) break;
    numbers.push_back(number_in(it->second, place));
  }
  if (kind == "KVCache") {  // its length is that of its arrays
    auto keys = f.arrays.find(fmt::format("{}.0", layer));
    return {keys == f.arrays.end() || keys->second.ndim() != 4 ? 0 : keys->second.shape(2)};
  }
  size_t count = kind == "RotatingKVCache" ? 4 : 3;
  // MLX Swift LM's classes have the step in which they grow among them.
  require<FileError>(numbers.size() >= count, "{}: {} numbers; {} are needed.", place,
                     numbers.size(), count);
  if (kind == "QuantizedKVCache")
    return {numbers.end() - static_cast<std::ptrdiff_t>(count), numbers.end()};
  bool swift = numbers.size() > count;
  return swift ? std::vector<int64_t>{numbers[3], numbers[0], numbers[1], numbers[4]}
               : std::vector<int64_t>{numbers[2], numbers[0], numbers[1], numbers[3]};
}

}  // namespace

void save_cache(const std::string& file, const Cache& cache, const CacheMetadata& metadata) {
  std::unordered_map<std::string, array> arrays;
  CacheMetadata all{{"2.0", ""}};
  for (const auto& [key, value] : metadata) all["0." + key] = value;
  int scalars = 0;
  auto scalar = [&](const std::string& name, const array& a, const char* type) {
    arrays.emplace(name, a);
    all[fmt::format("2.{}.0", ++scalars)] = name;
    all[fmt::format("2.{}.1", scalars)] = type;
  };
  for (size_t i = 0; i < cache.layers.size(); ++i) {
    CacheParts parts = CacheParts::of(cache.layers[i]);
    all[fmt::format("1.{}", i)] = parts.kind;
    for (auto& [name, a] : parts.arrays) arrays.emplace(fmt::format("{}.{}", i, name), a);
    if (parts.arrays.empty())  // no keys and values yet
      for (int j : {0, 1}) scalar(fmt::format("{}.{}", i, j), zeros({0}), "none");
    for (size_t j = 0; j < parts.numbers.size(); ++j)
      scalar(fmt::format("{}.{}", i, first_number + static_cast<int>(j)),
             array(static_cast<int32_t>(parts.numbers[j]), int32), "scalar");
  }
  save_safetensors(file, arrays, all);
}

std::pair<Cache, CacheMetadata> load_cache(const std::string& file) {
  File f{.name = file};
  std::tie(f.arrays, f.metadata) = load_safetensors(file);
  std::pair<Cache, CacheMetadata> result;
  auto kinds = classes_of(f);
  for (size_t i = 0; i < kinds.size(); ++i) {
    std::string place = fmt::format("[load_cache] {}: layer {}", file, i);
    CacheParts parts{.kind = kinds[i]};
    parts.numbers = numbers_of(f, kinds[i], i, place);
    for (const char* name : {"0", "1", "0.0", "0.1", "0.2", "1.0", "1.1", "1.2"})
      if (auto it = f.arrays.find(fmt::format("{}.{}", i, name)); it != f.arrays.end())
        parts.arrays.emplace_back(name, it->second);
    result.first.layers.push_back(parts.whole(place));
    require<FileError>(result.first.layers[i].length() == result.first.length(),
                       "{} has {} positions, layer 0 has {}.", place,
                       result.first.layers[i].length(), result.first.length());
  }
  std::string prefix = f.is_older() ? "1." : "0.";
  for (const auto& [key, value] : f.metadata)
    if (key.starts_with(prefix)) result.second.emplace(key.substr(prefix.size()), value);
  return result;
}

}  // namespace tarn::lm
