#include "tarn/gguf.h"

#include <cmath>
#include <map>

#include "golden.h"
#include "io_files.h"
#include "tarn/io.h"

namespace tarn_test {
namespace {

using tarn::array;
using tarn::GgmlType;
using tarn::GgufFile;
using Type = tarn::GgufValue::Type;

std::string refused_gguf(const std::string& bytes) {
  return read_error("m.gguf", bytes, [](const std::string& path) { GgufFile::open(path); });
}

TEST(Gguf, ReadsEveryTypeOfValue) {
  GgufWriter w;
  w.key("u8", Type::uint8, uint8_t{200}).key("i8", Type::int8, int8_t{-3});
  w.key("u16", Type::uint16, uint16_t{60000}).key("i16", Type::int16, int16_t{-300});
  w.key("u32", Type::uint32, uint32_t{4000000000}).key("i32", Type::int32, int32_t{-7});
  w.key("u64", Type::uint64, uint64_t{1} << 40).key("i64", Type::int64, int64_t{-1} << 40);
  w.key("f32", Type::float32, 1.5f).key("f64", Type::float64, 2.25);
  w.key("yes", Type::bool_, uint8_t{1}).key("huge", Type::uint64, ~uint64_t{0});
  w.key("text", "grüß").key("none", "");
  w.list("ints", Type::int32, 2, bytes_of(int32_t{1}) + bytes_of(int32_t{-2}));
  w.list("floats", Type::float32, 1, bytes_of(0.5f));
  w.list("texts", Type::string, 3, w.text("a") + w.text("") + w.text("ccc"));
  Folder folder;
  auto f = GgufFile::open(folder.write("m", w.bytes()));
  EXPECT_EQ(f.integer("u8"), 200);
  EXPECT_EQ(f.integer("i8"), -3);
  EXPECT_EQ(f.integer("u16"), 60000);
  EXPECT_EQ(f.integer("i16"), -300);
  EXPECT_EQ(f.integer("u32"), 4000000000);
  EXPECT_EQ(f.integer("i32"), -7);
  EXPECT_EQ(f.integer("u64"), int64_t{1} << 40);
  EXPECT_EQ(f.integer("i64"), int64_t{-1} << 40);
  EXPECT_EQ(f.number("f32"), 1.5);
  EXPECT_EQ(f.number("f64"), 2.25);
  EXPECT_EQ(f.number("i32"), -7.0);
  EXPECT_TRUE(f.boolean("yes"));
  EXPECT_EQ(f.text("text"), "grüß");
  EXPECT_EQ(f.text("none"), "");
  EXPECT_EQ(f.integers("ints"), (std::vector<int64_t>{1, -2}));
  EXPECT_EQ(f.integers("u8"), (std::vector<int64_t>{200}));
  EXPECT_EQ(f.numbers("floats"), (std::vector<float>{0.5f}));
  EXPECT_EQ(f.texts("texts"), (std::vector<std::string_view>{"a", "", "ccc"}));
  EXPECT_EQ(f.metadata().front().first, "u8");
  EXPECT_EQ(f.integer("absent", 5), 5);
  EXPECT_EQ(f.text("absent", "x"), "x");
  EXPECT_FALSE(f.boolean("absent", false));
  std::string head = "[load] " + f.path() + ": ";
  EXPECT_EQ(error_of([&] { f.integer("absent"); }),
            head +
                "the metadata has no \"absent\". The file is not complete; convert the model "
                "again.");
  EXPECT_EQ(error_of([&] { f.integer("text", 5); }),
            head + "\"text\" holds text, an integer that fits 64 bits is needed.");
  EXPECT_EQ(error_of([&] { f.integer("huge"); }),
            head + "\"huge\" holds uint64, an integer that fits 64 bits is needed.");
  EXPECT_EQ(error_of([&] { f.text("texts"); }),
            head + "\"texts\" holds a list of text, a text is needed.");
  EXPECT_EQ(error_of([&] { f.texts("ints"); }),
            head + "\"ints\" holds a list of int32, a list of texts is needed.");
}

TEST(Gguf, DenseTensorsLieInTheFile) {
  GgufWriter w;
  std::string six;
  for (int i = 0; i < 6; ++i) six += bytes_of(static_cast<float>(i));
  w.tensor("a", GgmlType::f32, {2, 3}, six);
  w.tensor("b", GgmlType::bf16, {1}, bytes_of(uint16_t{0x3fc0}));
  Folder folder;
  auto path = folder.write("m", w.bytes());
  auto f = GgufFile::open(path);
  ASSERT_EQ(f.tensors().size(), 2u);
  EXPECT_EQ(f.tensors()[0].name, "a");
  EXPECT_EQ(f.tensors()[0].shape, (tarn::Shape{2, 3}));
  array a = std::get<array>(f.tensor("a"));
  EXPECT_EQ(values<float>(a), (std::vector<float>{0, 1, 2, 3, 4, 5}));
  EXPECT_EQ(tarn::name_of_mapped_file(a.data<float>()), path);
  EXPECT_EQ(std::get<array>(f.tensor("b")).item<float>(), 1.5f);
  auto swapped = f.tensor("a", [](const auto&) { return std::vector<int64_t>{1, 0}; });
  EXPECT_EQ(values<float>(std::get<array>(swapped)), (std::vector<float>{3, 4, 5, 0, 1, 2}));
  EXPECT_EQ(error_of([&] { f.tensor("c"); }), "[load] " + path + ": there is no tensor \"c\".");
  EXPECT_EQ(error_of([&] {
              f.tensor("a", [](const auto&) { return std::vector<int64_t>{0, 2}; });
            }),
            "[load_gguf] the row order of \"a\" names row 2 of 2.");
}

// Code k of a row of MLX's affine layout.
uint32_t code_at(const uint32_t* words, int bits, int64_t k) {
  int64_t bit = k * bits;
  uint64_t two = words[bit / 32];
  if (bit % 32 + bits > 32) two |= uint64_t{words[bit / 32 + 1]} << 32;
  return static_cast<uint32_t>(two >> (bit % 32)) & ((1u << bits) - 1);
}

std::vector<double> dequantised(const tarn::GgufQuantised& q) {
  auto words = values<uint32_t>(q.weight);
  auto scales = values<tarn::float16_t>(q.scales), biases = values<tarn::float16_t>(q.biases);
  std::vector<double> all;
  for (size_t i = 0; i < scales.size() * 32; ++i)
    all.push_back(static_cast<double>(scales[i / 32]) *
                      code_at(words.data(), q.bits, static_cast<int64_t>(i)) +
                  static_cast<double>(biases[i / 32]));
  return all;
}

const std::map<std::string, GgmlType> block_types = {
    {"Q4_0", GgmlType::q4_0}, {"Q4_1", GgmlType::q4_1},    {"Q5_0", GgmlType::q5_0},
    {"Q5_1", GgmlType::q5_1}, {"Q8_0", GgmlType::q8_0},    {"Q2_K", GgmlType::q2_k},
    {"Q3_K", GgmlType::q3_k}, {"Q4_K", GgmlType::q4_k},    {"Q5_K", GgmlType::q5_k},
    {"Q6_K", GgmlType::q6_k}, {"IQ4_NL", GgmlType::iq4_nl}};

TEST(Gguf, BlocksEqualTheReference) {
  auto reference = tarn::load_npz(golden("io/blocks.npz").string());
  Folder folder;
  for (const auto& [name, type] : block_types) {
    SCOPED_TRACE(name);
    auto blocks = values<uint8_t>(reference.at(name + ".blocks"));
    auto numbers = values<float>(reference.at(name + ".numbers"));
    uint64_t rows = 4, columns = numbers.size() / rows;
    GgufWriter w;
    w.tensor("t", type, {rows, columns}, std::string(blocks.begin(), blocks.end()));
    auto weight = GgufFile::open(folder.write("m", w.bytes())).tensor("t");
    if (auto* q = std::get_if<tarn::GgufQuantised>(&weight)) {
      EXPECT_EQ(q->scales.shape(),
                (tarn::Shape{static_cast<int64_t>(rows), static_cast<int64_t>(columns / 32)}));
      EXPECT_EQ(q->weight.shape(1), static_cast<int64_t>(columns) * q->bits / 32);
      auto got = dequantised(*q);
      ASSERT_EQ(got.size(), numbers.size());
      // The reference rounds d * q + m to float32; scale * code + bias is exact here.
      for (size_t i = 0; i < got.size(); ++i)
        ASSERT_EQ(static_cast<float>(got[i]), numbers[i]) << "number " << i;
    } else {
      auto got = values<tarn::float16_t>(std::get<array>(weight));
      ASSERT_EQ(got.size(), numbers.size());
      for (size_t i = 0; i < got.size(); ++i)
        ASSERT_EQ(got[i].bits, tarn::float16_t(numbers[i]).bits) << "number " << i;
    }
  }
}

TEST(Gguf, EveryFiniteScaleMakesAnExactBiasOrADenseTensor) {
  const int zeros[] = {8, 16, 128};
  const GgmlType types[] = {GgmlType::q4_0, GgmlType::q5_0, GgmlType::q8_0};
  const size_t bytes[] = {18, 22, 34};
  Folder folder;
  for (int kind = 0; kind < 3; ++kind) {
    for (uint32_t sign : {0u, 0x8000u}) {
      for (uint32_t first = 0; first < 0x7c00; first += 0x400) {  // one exponent
        std::string blocks;
        for (uint32_t i = 0; i < 0x400; ++i)
          blocks += bytes_of(static_cast<uint16_t>(sign | (first + i))) +
                    std::string(bytes[kind] - 2, '\0');
        GgufWriter w;
        w.tensor("t", types[kind], {1024, 32}, blocks);
        auto weight = GgufFile::open(folder.write("m", w.bytes())).tensor("t");
        tarn::float16_t largest;
        largest.bits = static_cast<uint16_t>(first + 0x3ff);
        bool fits = static_cast<float>(largest) * static_cast<float>(zeros[kind]) < 65520.f;
        auto* q = std::get_if<tarn::GgufQuantised>(&weight);
        ASSERT_EQ(q != nullptr, fits) << first;
        if (!q) {
          // Codes of 0 bytes: -8 and -16 in the shifted types, 0 in Q8_0.
          EXPECT_EQ(std::get<array>(weight).dtype(), tarn::float32);
          continue;
        }
        auto scales = values<tarn::float16_t>(q->scales),
             biases = values<tarn::float16_t>(q->biases);
        for (size_t i = 0; i < scales.size(); ++i)
          ASSERT_EQ(static_cast<float>(biases[i]),
                    -static_cast<float>(zeros[kind]) * static_cast<float>(scales[i]));
      }
    }
  }
}

TEST(Gguf, InfiniteScalesComeDense) {
  GgufWriter w;
  std::string block = bytes_of(uint16_t{0x7e00}) + std::string(32, '\1');
  w.tensor("t", GgmlType::q8_0, {1, 32}, block);
  Folder folder;
  auto weight = GgufFile::open(folder.write("m", w.bytes())).tensor("t");
  EXPECT_TRUE(std::isnan(values<float>(std::get<array>(weight))[0]));
}

TEST(Gguf, ThreadsAndRowOrderGiveTheSame) {
  Numbers numbers(1);
  GgufWriter w;
  std::string bytes;
  const uint64_t rows = 4096, blocks = 40;  // more than one task
  for (uint64_t i = 0; i < rows * blocks; ++i) {
    bytes += bytes_of(static_cast<uint16_t>(0x2000 + numbers.below(0x400)));
    bytes += numbers.bytes(18);
  }
  w.tensor("t", GgmlType::q4_1, {rows, blocks * 32}, bytes);
  Folder folder;
  auto f = GgufFile::open(folder.write("m", w.bytes()));
  auto one = std::get<tarn::GgufQuantised>(f.tensor("t"));
  auto backwards = [](const tarn::GgufTensor& t) {
    std::vector<int64_t> order;
    for (int64_t row = t.rows(); row-- > 0;) order.push_back(row);
    return order;
  };
  auto all = std::get<tarn::GgufQuantised>(f.load_all({}, 4).at("t"));
  auto reversed = std::get<tarn::GgufQuantised>(f.load_all(backwards, 3).at("t"));
  auto expected = values<uint32_t>(one.weight);
  EXPECT_EQ(values<uint32_t>(all.weight), expected);
  EXPECT_EQ(values<tarn::float16_t>(all.biases).back().bits,
            values<tarn::float16_t>(one.biases).back().bits);
  auto got = values<uint32_t>(reversed.weight);
  size_t row = expected.size() / rows;
  for (size_t r = 0; r < rows; ++r)
    ASSERT_TRUE(std::equal(got.begin() + static_cast<std::ptrdiff_t>(r * row),
                           got.begin() + static_cast<std::ptrdiff_t>((r + 1) * row),
                           expected.begin() + static_cast<std::ptrdiff_t>((rows - 1 - r) * row)));
}

TEST(Gguf, NamesWhatIsWrong) {
  using W = GgufWriter;
  std::string cut = " The file is cut off or damaged; fetch it again.";
  EXPECT_EQ(refused_gguf("GGML" + std::string(60, '\0')),
            "byte 0: a GGUF file begins with \"GGUF\", this one with \"GGML\". Convert older GGML "
            "formats to GGUF first.");
  W old;
  old.version = 1;
  EXPECT_EQ(refused_gguf(old.bytes()),
            "byte 4: GGUF version 1; versions 2 and 3 are read. Convert the model again.");
  old.version = 0x03000000;
  EXPECT_EQ(refused_gguf(old.bytes()),
            "byte 4: the file is big-endian. Convert it to little-endian.");
  EXPECT_EQ(
      refused_gguf("GGUF" + bytes_of(uint32_t{3}) + bytes_of(~uint64_t{0}) + bytes_of(uint64_t{0})),
      "byte 24: 18446744073709551615 tensors, at most 1048576 are read.");
  EXPECT_EQ(
      refused_gguf("GGUF" + bytes_of(uint32_t{3}) + bytes_of(uint64_t{2}) + bytes_of(uint64_t{0})),
      "byte 24: 2 tensors do not fit into the 0 bytes left." + cut);
  EXPECT_EQ(refused_gguf(W().key("a", "1").key("a", "2").bytes()),
            "byte 46: the metadata key \"a\" stands twice.");
  EXPECT_EQ(refused_gguf(W().key("", "1").bytes()),
            "byte 24: a metadata key has 0 bytes, 1 to 65535 are allowed.");
  EXPECT_EQ(refused_gguf(W().raw_key("a", bytes_of(uint32_t{13}) + "xxxx").bytes()),
            "byte 33: \"a\" has the unknown type 13; 0 to 12 are known.");
  EXPECT_EQ(refused_gguf(W().list("a", Type::list, 1, "xxxx").bytes()),
            "byte 41: \"a\" is a list of lists; lists of numbers, bools or texts are read.");
  EXPECT_EQ(
      refused_gguf(W().list("a", Type::int64, uint64_t{1} << 61, "xxxx").bytes()),
      "byte 49: \"a\" has 2305843009213693952 values of 8 bytes or more, 15 bytes are left." + cut);
  EXPECT_EQ(refused_gguf(W().key("a", Type::bool_, uint8_t{7}).bytes()),
            "byte 37: \"a\" holds the bool 7; 0 and 1 are allowed.");
  EXPECT_EQ(refused_gguf(W().key("general.alignment", Type::uint32, uint32_t{3}).bytes()),
            "byte 53: general.alignment must be a uint32 and a power of two up to 65536.");
  EXPECT_EQ(refused_gguf(W().tensor("t", GgmlType::f32, {1, 1, 1, 1, 1}, "1234").bytes()),
            "byte 33: tensor \"t\" has 5 dimensions, 1 to 4 are allowed.");
  EXPECT_EQ(refused_gguf(W().tensor("t", GgmlType::f32, {0}, "1234").bytes()),
            "byte 37: tensor \"t\" has a size of 0.");
  EXPECT_EQ(refused_gguf(W().tensor("t", static_cast<GgmlType>(99), {1}, "1234").bytes()),
            "byte 45: tensor \"t\" has the unknown type 99. It may come from a newer program; "
            "convert it to Q4_1, Q8_0 or F16.");
  EXPECT_EQ(refused_gguf(W().tensor("t", GgmlType::q4_k, {2, 32}, "1234").bytes()),
            "byte 53: tensor \"t\" is Q4_K with rows of 32; a multiple of 256 is needed.");
  EXPECT_EQ(refused_gguf(
                W().tensor("t", GgmlType::f32, {uint64_t{1} << 40, uint64_t{1} << 40}, "").bytes()),
            "byte 53: tensor \"t\" of shape (1099511627776, 1099511627776) needs more bytes than "
            "the file has (96)." +
                cut);
  W clipped;
  clipped.tensor("t", GgmlType::f32, {16}, std::string(64, 'x'));
  EXPECT_EQ(refused_gguf(clipped.bytes().substr(0, 100)),
            "tensor \"t\" takes 64 bytes from byte 64 + 0 on, the file has 100. It is cut off or "
            "damaged; fetch it again.");
  W shared;
  shared.alignment = 8;
  shared.key("general.alignment", Type::uint32, uint32_t{8});
  shared.tensor("s", GgmlType::f32, {4}, std::string(8, 'x'));
  shared.tensor("t", GgmlType::f32, {4}, std::string(16, 'x'));
  EXPECT_EQ(refused_gguf(shared.bytes()),
            "byte 136: the tensors \"s\" and \"t\" overlap. The file is damaged; fetch it again.");
  W twice;
  twice.tensor("t", GgmlType::f32, {1}, "1234").tensor("t", GgmlType::f32, {1}, "1234");
  EXPECT_EQ(refused_gguf(twice.bytes()), "byte 57: the tensor \"t\" stands twice.");
}

TEST(Gguf, TypesThatCannotBeReadAreNamed) {
  GgufWriter w;
  w.tensor("t", GgmlType::iq2_xs, {256}, std::string(74, 'x'));
  Folder folder;
  auto f = GgufFile::open(folder.write("m", w.bytes()));
  EXPECT_EQ(error_of([&] { f.tensor("t"); }),
            "[load] " + f.path() +
                ": tensor \"t\" is IQ2_XS, which cannot be read. Convert the "
                "model to Q4_1, Q8_0, F16 or a K-quant type.");
}

TEST(GgufMlx, SaveAndLoadGiveTheSameBack) {
  Folder folder;
  tarn::save_gguf(folder.at("m"),
                  {{"a", array({1.f, 2.f, 3.f, 4.f}, tarn::Shape{2, 2})},
                   {"b", array({int8_t{1}, int8_t{-1}, int8_t{2}})}},
                  {{"name", std::string("x")},
                   {"list", std::vector<std::string>{"p", "q"}},
                   {"n", array(7)},
                   {"none", std::monostate{}},
                   {"more", array({1.5f, 2.5f})}});
  auto loaded = tarn::load_gguf(folder.at("m"));
  EXPECT_EQ(loaded.first.size(), 2u);
  EXPECT_EQ(values<float>(loaded.first.at("a")), (std::vector<float>{1, 2, 3, 4}));
  EXPECT_EQ(loaded.first.at("a").shape(), (tarn::Shape{2, 2}));
  EXPECT_EQ(values<int8_t>(loaded.first.at("b")), (std::vector<int8_t>{1, -1, 2}));
  EXPECT_EQ(loaded.second.size(), 4u);
  EXPECT_EQ(std::get<std::string>(loaded.second.at("name")), "x");
  EXPECT_EQ(std::get<std::vector<std::string>>(loaded.second.at("list")),
            (std::vector<std::string>{"p", "q"}));
  EXPECT_EQ(std::get<array>(loaded.second.at("n")).item<int>(), 7);
  EXPECT_EQ(std::get<array>(loaded.second.at("n")).ndim(), 0u);
  EXPECT_EQ(values<float>(std::get<array>(loaded.second.at("more"))),
            (std::vector<float>{1.5f, 2.5f}));
}

TEST(GgufMlx, QuantisedWeightsBringScalesAndBiases) {
  GgufWriter w;
  std::string block = bytes_of(uint16_t{0x3c00}) + std::string(16, '\x21');  // d = 1
  w.tensor("layer.weight", GgmlType::q4_0, {1, 32}, block);
  Folder folder;
  auto loaded = tarn::load_gguf(folder.write("m", w.bytes())).first;
  ASSERT_EQ(loaded.size(), 3u);
  EXPECT_EQ(values<uint32_t>(loaded.at("layer.weight")),
            (std::vector<uint32_t>{0x11111111, 0x11111111, 0x22222222, 0x22222222}));
  EXPECT_EQ(loaded.at("layer.scales").item<float>(), 1.f);
  EXPECT_EQ(loaded.at("layer.biases").item<float>(), -8.f);
  w.tensor("layer.scales", GgmlType::f32, {1}, "1234");
  EXPECT_EQ(error_of([&] { tarn::load_gguf(folder.write("m", w.bytes())); }),
            "[load] " + folder.at("m") +
                ": two arrays would be called \"layer.scales\": a tensor, "
                "and the scales or biases of another. Use GgufFile.");
}

}  // namespace
}  // namespace tarn_test
