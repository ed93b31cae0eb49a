#include "io_damage.h"

#include "base/json.h"
#include "io/gguf_header.h"
#include "io/npy.h"
#include "io/safetensors.h"
#include "tarn/io.h"

namespace tarn_test {
namespace {

using tarn::array;
using tarn::GgmlType;
using Type = tarn::GgufValue::Type;

std::string safetensors_seed() {
  std::string header =
      R"({"__metadata__":{"format":"pt","note":"a \"quoted\" word \u00fc"},)"
      R"("model.embed_tokens.weight":{"dtype":"F32","shape":[4,3],"data_offsets":[0,48]},)"
      R"("model.norm.weight":{"dtype":"BF16","shape":[4],"data_offsets":[48,56]},)"
      R"("flags":{"dtype":"BOOL","shape":[2,2],"data_offsets":[56,60]},)"
      R"("empty":{"dtype":"I64","shape":[0],"data_offsets":[60,60]}})";
  header.resize((header.size() + 7) / 8 * 8, ' ');
  return safetensors(header, Numbers(3).bytes(60));
}

std::string gguf_seed() {
  Numbers numbers(4);
  GgufWriter w;
  w.key("general.architecture", "llama").key("llama.block_count", Type::uint32, uint32_t{1});
  w.key("flag", Type::bool_, uint8_t{1}).key("general.alignment", Type::uint32, uint32_t{32});
  w.list("tokens", Type::string, 3, w.text("a") + w.text("bb") + w.text("<s>"));
  w.list("scores", Type::float32, 3, numbers.bytes(12));
  w.list("types", Type::int32, 3, numbers.bytes(12));
  w.tensor("norm", GgmlType::f32, {4}, numbers.bytes(16));
  w.tensor("half", GgmlType::f16, {2, 4}, numbers.bytes(16));
  w.tensor("q41", GgmlType::q4_1, {2, 32}, numbers.bytes(40));
  w.tensor("q50", GgmlType::q5_0, {1, 64}, numbers.bytes(44));
  w.tensor("q80", GgmlType::q8_0, {1, 32}, numbers.bytes(34));
  w.tensor("q4k", GgmlType::q4_k, {1, 256}, numbers.bytes(144));
  w.tensor("q6k", GgmlType::q6_k, {1, 256}, numbers.bytes(210));
  return w.bytes();
}

std::string saved(const char* name, const std::function<void(const std::string&)>& save) {
  Folder folder;
  save(folder.at(name));
  return folder.read(name);
}
std::string npy_seed() {
  return saved("a.npy", [](const std::string& path) {
    tarn::save(path, array({1.f, 2.f, 3.f, 4.f, 5.f, 6.f}, tarn::Shape{2, 3}));
  });
}
std::string npz_seed(bool compressed) {
  return saved("a.npz", [&](const std::string& path) {
    std::vector<int> numbers(40, 9);
    tarn::save_npz(path,
                   {{"first", array(numbers.begin(), tarn::Shape{4, 10})}, {"second", array(2.5f)}},
                   compressed);
  });
}

// Readers that only parse: fast enough for every bit of a file.
void parse_safetensors(const std::string& bytes) {
  auto header = tarn::io::parse_safetensors(as_bytes(bytes), "m");
  size_t covered = 0;
  for (const auto& t : header.tensors) covered += t.bytes.size();
  ASSERT_LE(covered, bytes.size());
}
void parse_gguf(const std::string& bytes) {
  auto header = tarn::io::parse_gguf(as_bytes(bytes), "m");
  for (const auto& t : header.tensors) {
    ASSERT_GE(t.bytes.data(), as_bytes(bytes).data());
    ASSERT_LE(t.bytes.data() + t.bytes.size(), as_bytes(bytes).data() + bytes.size());
  }
}
void parse_npy(const std::string& bytes) { tarn::io::parse_npy(as_bytes(bytes), "m"); }
void parse_json(const std::string& bytes) {
  tarn::parse_json(bytes, "m");
  tarn::parse_ordered_json(bytes, "m");
}

// Readers that load the file and look at every number and text.
class Files {
 public:
  Reader safetensors() const {
    return [this](const std::string& bytes) {
      auto loaded = tarn::load_safetensors(folder_.write("m", bytes));
      for (const auto& [name, a] : loaded.first) touch(a);
    };
  }
  Reader gguf() const {
    return [this](const std::string& bytes) {
      auto f = tarn::GgufFile::open(folder_.write("m", bytes));
      for (const auto& [key, value] : f.metadata())
        if (value.type == Type::string) f.texts(key);
      auto loaded = tarn::load_gguf(f.path());
      for (const auto& [name, a] : loaded.first) touch(a);
    };
  }
  Reader npy() const {
    return [this](const std::string& bytes) { touch(tarn::load(folder_.write("m", bytes))); };
  }
  Reader npz() const {
    return [this](const std::string& bytes) {
      for (const auto& [name, a] : tarn::load_npz(folder_.write("m", bytes))) touch(a);
    };
  }

 private:
  Folder folder_;
};

TEST(DamagedSafetensors, Truncated) { truncate_everywhere(safetensors_seed(), parse_safetensors); }
TEST(DamagedSafetensors, BitFlips) { flip_every_bit(safetensors_seed(), parse_safetensors); }
TEST(DamagedSafetensors, Random) {
  damage_at_random(safetensors_seed(), parse_safetensors, 20'000);
  damage_at_random(safetensors_seed(), Files().safetensors(), 3'000);
}

TEST(DamagedGguf, Truncated) { truncate_everywhere(gguf_seed(), parse_gguf, 32); }
TEST(DamagedGguf, BitFlips) { flip_every_bit(gguf_seed(), parse_gguf); }
TEST(DamagedGguf, Random) {
  damage_at_random(gguf_seed(), parse_gguf, 20'000);
  damage_at_random(gguf_seed(), Files().gguf(), 3'000);
}

TEST(DamagedNpy, Truncated) { truncate_everywhere(npy_seed(), Files().npy()); }
TEST(DamagedNpy, BitFlips) { flip_every_bit(npy_seed(), parse_npy); }
TEST(DamagedNpy, Random) {
  damage_at_random(npy_seed(), parse_npy, 20'000);
  damage_at_random(npy_seed(), Files().npy(), 3'000);
}

TEST(DamagedNpz, Truncated) {
  truncate_everywhere(npz_seed(false), Files().npz());
  truncate_everywhere(npz_seed(true), Files().npz());
}
TEST(DamagedNpz, BitFlips) { flip_every_bit(npz_seed(true), Files().npz()); }
TEST(DamagedNpz, Random) {
  damage_at_random(npz_seed(false), Files().npz(), 3'000);
  damage_at_random(npz_seed(true), Files().npz(), 3'000);
}

TEST(DamagedJson, All) {
  std::string seed =
      R"({"a":[1,-2.5e3,true,false,null],"b":{"c":"t\u00fc\ud83d\ude00\n","d":[[],{}]},"e":"ü"})";
  truncate_everywhere(seed, parse_json);
  flip_every_bit(seed, parse_json);
  damage_at_random(seed, parse_json, 20'000);
}

TEST(DamagedSafetensorsIndex, Random) {
  Folder folder;
  folder.write("1.safetensors", safetensors_seed());
  std::string index = R"({"metadata":{"total_size":60},"weight_map":{"flags":"1.safetensors"}})";
  auto read = [&](const std::string& bytes) {
    folder.write("model.safetensors.index.json", bytes);
    tarn::load_safetensors_dir(folder.at(""));
  };
  truncate_everywhere(index, read);
  damage_at_random(index, read, 2'000);
}

// Counts that are larger than the file could hold must be refused before memory is set aside.
TEST(HostileGguf, CountsDoNotAllocate) {
  for (uint64_t count : {uint64_t{60'000}, uint64_t{1} << 20, uint64_t{1} << 40, ~uint64_t{0}}) {
    std::string head = "GGUF" + bytes_of(uint32_t{3});
    std::string pad(500, '\1');
    EXPECT_NE(error_of([&] { parse_gguf(head + bytes_of(count) + bytes_of(uint64_t{0}) + pad); }),
              "");
    EXPECT_NE(error_of([&] { parse_gguf(head + bytes_of(uint64_t{0}) + bytes_of(count) + pad); }),
              "");
  }
}

TEST(HostileSafetensors, DeepAndWideHeaders) {
  std::string deep = "{\"a\":" + std::string(200'000, '[') + std::string(200'000, ']') + "}";
  EXPECT_NE(
      error_of([&] { parse_safetensors(safetensors(deep, "")); }).find("nest deeper than 128"),
      std::string::npos);
  std::string wide = "{";
  for (int i = 0; i < 100'000; ++i)
    wide += "\"" + std::to_string(i) + R"(":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},)";
  wide.back() = '}';
  EXPECT_EQ(error_of([&] { parse_safetensors(safetensors(wide, "")); }), "no error");
}

}  // namespace
}  // namespace tarn_test
