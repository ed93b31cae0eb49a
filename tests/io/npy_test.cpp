#include <complex>

#include "io_files.h"
#include "tarn/io.h"

namespace tarn_test {
namespace {

using tarn::array;

std::string npy(const std::string& dict, const std::string& data, char major = 1) {
  std::string text = dict + "\n";
  std::string length = major == 1 ? bytes_of(static_cast<uint16_t>(text.size()))
                                  : bytes_of(static_cast<uint32_t>(text.size()));
  return std::string("\x93NUMPY") + major + '\0' + length + text + data;
}
std::string dict(const std::string& descr, const std::string& shape, const char* order = "False") {
  return "{'descr': '" + descr + "', 'fortran_order': " + order + ", 'shape': " + shape + ", }";
}

std::string refused_npy(const std::string& bytes) {
  return read_error("a.npy", bytes, [](const std::string& path) { tarn::load(path); });
}

TEST(Npy, EveryDtypeComesBack) {
  Folder folder;
  const tarn::Dtype all[] = {tarn::bool_,    tarn::uint8,    tarn::uint16,  tarn::uint32,
                             tarn::uint64,   tarn::int8,     tarn::int16,   tarn::int32,
                             tarn::int64,    tarn::float16,  tarn::float32, tarn::float64,
                             tarn::bfloat16, tarn::complex64};
  for (tarn::Dtype t : all) {
    SCOPED_TRACE(tarn::name_of(t));
    array a({0.f, 1.f, 1.f, 0.f, 1.f, 1.f}, tarn::Shape{2, 3}, t);
    tarn::save(folder.at("a.npy"), a);
    array b = tarn::load(folder.at("a.npy"));
    EXPECT_EQ(b.dtype(), t);
    EXPECT_EQ(b.shape(), a.shape());
    a.eval();
    b.eval();
    EXPECT_EQ(std::memcmp(a.data<char>(), b.data<char>(), a.nbytes()), 0);
  }
}

TEST(Npy, ShapesComeBack) {
  Folder folder;
  for (const tarn::Shape& shape : {tarn::Shape{}, tarn::Shape{0}, tarn::Shape{3, 0, 2},
                                   tarn::Shape{1, 1, 1, 1, 1, 1, 1, 1, 1, 2}}) {
    int64_t n = 1;
    for (int64_t d : shape) n *= d;
    std::vector<int> numbers(static_cast<size_t>(n), 5);
    tarn::save(folder.at("a.npy"), array(numbers.begin(), shape));
    array b = tarn::load(folder.at("a.npy"));
    EXPECT_EQ(b.shape(), shape);
    EXPECT_EQ(values<int>(b), numbers);
  }
}

TEST(Npy, HeaderIsAlignedAndNumPys) {
  Folder folder;
  tarn::save(folder.at("a.npy"), array({1.f, 2.f}));
  std::string bytes = folder.read("a.npy");
  EXPECT_EQ(bytes.size(), 128u + 8u);
  EXPECT_EQ(bytes.substr(0, 10), std::string("\x93NUMPY\1\0\x76\0", 10));
  EXPECT_EQ(bytes.substr(10, 57), "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }");
  EXPECT_EQ(bytes[127], '\n');
  array a = tarn::load(folder.at("a.npy"));
  EXPECT_EQ(tarn::name_of_mapped_file(a.data<float>()), folder.at("a.npy"));
}

TEST(Npy, ReadsOldAndNewHeaders) {
  Folder folder;
  std::string data = bytes_of(int16_t{3}) + bytes_of(int16_t{-4});
  for (char version : {'\1', '\2', '\3'}) {
    auto path = folder.write("a", npy(dict("<i2", "(2,)"), data, version));
    EXPECT_EQ(values<int16_t>(tarn::load(path)), (std::vector<int16_t>{3, -4}));
  }
  auto path =
      folder.write("a", npy("{\"shape\":(2L , ),\"descr\":\"=i2\",\"fortran_order\":False}", data));
  EXPECT_EQ(values<int16_t>(tarn::load(path)), (std::vector<int16_t>{3, -4}));
}

TEST(Npy, ColumnMajorBecomesRowMajor) {
  Folder folder;
  std::string data;
  for (int i = 0; i < 6; ++i) data += bytes_of(i);
  array a = tarn::load(folder.write("a", npy(dict("<i4", "(2, 3)", "True"), data)));
  EXPECT_EQ(a.shape(), (tarn::Shape{2, 3}));
  EXPECT_EQ(values<int>(a), (std::vector<int>{0, 2, 4, 1, 3, 5}));
}

TEST(Npy, BigEndianIsTurned) {
  Folder folder;
  array a = tarn::load(
      folder.write("a", npy(dict(">i4", "(2,)"), std::string("\0\0\1\2\xff\xff\xff\xfe", 8))));
  EXPECT_EQ(values<int>(a), (std::vector<int>{258, -2}));
  std::string one_two("\x3f\x80\0\0\x40\0\0\0", 8);
  array c = tarn::load(folder.write("c", npy(dict(">c8", "()"), one_two)));
  EXPECT_EQ(c.item<tarn::complex64_t>(), tarn::complex64_t(1, 2));
}

TEST(Npy, BoolsOtherThanOneAreOne) {
  Folder folder;
  array a = tarn::load(folder.write("a", npy(dict("|b1", "(3,)"), std::string("\0\1\7", 3))));
  EXPECT_EQ(values<uint8_t>(a), (std::vector<uint8_t>{0, 1, 1}));
}

TEST(Npy, NamesWhatIsWrong) {
  auto header = [](const std::string& d) { return refused_npy(npy(d, "1234")); };
  EXPECT_EQ(refused_npy("NUMPY something"),
            "byte 0: an .npy file begins with \"\\x93NUMPY\", this one with \"NUMPY \".");
  EXPECT_EQ(refused_npy(npy(dict("<f4", "(1,)"), "1234", 9)),
            "byte 6: .npy version 9; versions 1 to 3 are read.");
  EXPECT_EQ(refused_npy(std::string("\x93NUMPY\2\0\xff\xff\xff\xff", 12)),
            "byte 8: a header of 4294967295 bytes, at most 1048576 are read.");
  EXPECT_EQ(refused_npy(npy(dict("<f4", "(300000000,)"), "1234")),
            "byte 76: 4 bytes of numbers, float32 of shape (300000000) needs 1200000000. The file "
            "is cut off or damaged; save it again.");
  EXPECT_EQ(refused_npy(npy(dict("<f4", "(4294967296, 4294967296)"), "1234")),
            "the shape (4294967296, 4294967296) needs more bytes than 64 bits can count.");
  EXPECT_EQ(header(dict("|O", "(1,)")),
            "byte 24: the .npy header has a pickle of Python objects, which is never run; save "
            "numbers instead.");
  EXPECT_EQ(header("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,)}"),
            "byte 20: the .npy header has a structured type; save each field as an array of its "
            "own.");
  EXPECT_EQ(header(dict("<U3", "(1,)")),
            "byte 25: the .npy header has the type '<U3', which no dtype here holds; convert the "
            "array before saving.");
  EXPECT_EQ(header(dict("<f4", "(-1,)")),
            "byte 61: the .npy header has a size that is no whole number from 0 to 2^63 - 1.");
  EXPECT_EQ(header("__import__('os').system('true')"), "byte 10: the .npy header has no '{'.");
  EXPECT_EQ(header("{'descr': '<f4', 'shape': (1,)}"),
            "byte 42: the .npy header has no 'descr', 'fortran_order' or 'shape'.");
  EXPECT_EQ(header("{'descr': '<f4', 'descr': '<f4'}"),
            "byte 35: the .npy header has the key 'descr' twice.");
  EXPECT_EQ(header("{'x': 1}"), "byte 15: the .npy header has the unknown key 'x'.");
  EXPECT_EQ(header(dict("<f4", "(1,)") + "{}"),
            "byte 67: the .npy header has more text after the closing brace.");
  std::string many = "(";
  for (int i = 0; i < 33; ++i) many += "1,";
  EXPECT_EQ(header(dict("<f4", many + ")")),
            "byte 125: the .npy header has more than 32 dimensions.");
}

TEST(Npz, SaveAndLoadGiveTheSameBack) {
  Folder folder;
  std::vector<float> zeros(100'000, 0.f);
  for (bool compressed : {false, true}) {
    tarn::save_npz(folder.at("a.npz"),
                   {{"x", array({1, 2, 3})},
                    {"grüß/y", array({1.5f, 2.5f}, tarn::Shape{2, 1})},
                    {"zeros", array(zeros.begin(), tarn::Shape{100, 1000})}},
                   compressed);
    auto loaded = tarn::load_npz(folder.at("a.npz"));
    ASSERT_EQ(loaded.size(), 3u);
    EXPECT_EQ(values<int>(loaded.at("x")), (std::vector<int>{1, 2, 3}));
    EXPECT_EQ(loaded.at("grüß/y").shape(), (tarn::Shape{2, 1}));
    EXPECT_EQ(values<float>(loaded.at("zeros")), zeros);
    EXPECT_EQ(folder.read("a.npz").size() < 10'000, compressed);
  }
  EXPECT_EQ(folder.names(), (std::vector<std::string>{"a.npz"}));
}

TEST(Npz, TheSameArraysMakeTheSameFile) {
  Folder folder;
  for (const char* name : {"a", "b"})
    tarn::save_npz(folder.at(name), {{"x", array({1, 2, 3})}, {"y", array(1.f)}});
  EXPECT_EQ(folder.read("a"), folder.read("b"));
}

TEST(Npz, EmptyArchive) {
  Folder folder;
  tarn::save_npz(folder.at("a.npz"), {});
  EXPECT_TRUE(tarn::load_npz(folder.at("a.npz")).empty());
}

std::string npz_refused(std::string bytes) {
  Folder folder;
  std::string path = folder.write("a.npz", bytes);
  std::string message = error_of([&] { tarn::load_npz(path); });
  std::string head = "[load] " + path + ": ";
  EXPECT_EQ(message.substr(0, head.size()), head);
  return message.substr(std::min(message.size(), head.size()));
}

std::string small_archive(bool compressed) {
  Folder folder;
  std::vector<int> numbers(50, 7);
  tarn::save_npz(folder.at("a.npz"), {{"x", array(numbers.begin(), tarn::Shape{50})}}, compressed);
  return folder.read("a.npz");
}

TEST(Npz, NamesWhatIsWrong) {
  EXPECT_EQ(npz_refused("no zip at all, just a line of text"),
            "this is no sound zip archive: Not a zip archive. Save it again.");
  std::string flipped = small_archive(false);
  flipped[flipped.find("\7\0\0\0\7")] = '\6';
  EXPECT_EQ(npz_refused(flipped), "entry \"x.npy\": CRC error.");
  std::string shape = small_archive(false);
  shape[shape.find("(50,)") + 1] = '6';
  EXPECT_EQ(npz_refused(shape),
            "entry \"x.npy\": int32 of shape (60) needs 240 bytes of numbers, 200 are there.");
}

TEST(Npz, BombsAreRefusedBeforeTheyUnpack) {
  // Both places that hold the unpacked size say 4 GB.
  std::string bytes = small_archive(true);
  std::string size = bytes_of(uint32_t{128 + 200}), bomb = bytes_of(uint32_t{4'000'000'000});
  size_t local = bytes.find(size), central = bytes.find(size, local + 4);
  ASSERT_NE(central, std::string::npos);
  bytes.replace(local, 4, bomb).replace(central, 4, bomb);
  std::string message = npz_refused(bytes);
  EXPECT_NE(
      message.find("are said to unpack to 4000000000, more than an honest archive would hold"),
      std::string::npos)
      << message;
}

}  // namespace
}  // namespace tarn_test
