#include "io_files.h"
#include "tarn/io.h"

namespace tarn_test {
namespace {

using tarn::array;

std::string refused_safetensors(const std::string& header, const std::string& data) {
  return read_error("m.safetensors", safetensors(header, data),
                    [](const std::string& path) { tarn::load_safetensors(path); });
}

TEST(Safetensors, ReadsTensorsAndMetadata) {
  Folder folder;
  std::string header = R"({"__metadata__":{"format":"pt"},)"
                       R"("b":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]},)"
                       R"("a":{"dtype":"I8","shape":[3],"data_offsets":[16,19]},)"
                       R"("empty":{"dtype":"F16","shape":[0,7],"data_offsets":[19,19]}})";
  float numbers[] = {1.f, 2.f, 3.f, 4.f};
  std::string data(reinterpret_cast<const char*>(numbers), sizeof(numbers));
  auto loaded = tarn::load_safetensors(folder.write("m", safetensors(header, data + "\1\2\377")));
  ASSERT_EQ(loaded.first.size(), 3u);
  EXPECT_EQ(loaded.second.at("format"), "pt");
  EXPECT_EQ(loaded.first.at("b").shape(), (tarn::Shape{2, 2}));
  EXPECT_EQ(values<float>(loaded.first.at("b")), (std::vector<float>{1, 2, 3, 4}));
  EXPECT_EQ(values<int8_t>(loaded.first.at("a")), (std::vector<int8_t>{1, 2, -1}));
  EXPECT_EQ(loaded.first.at("empty").shape(), (tarn::Shape{0, 7}));
  EXPECT_EQ(loaded.first.at("empty").dtype(), tarn::float16);
}

// As MLX writes it where there is none.
TEST(Safetensors, MetadataMayBeNull) {
  Folder folder;
  auto loaded = tarn::load_safetensors(folder.write(
      "m",
      safetensors(R"({"__metadata__":null,"a":{"dtype":"I8","shape":[2],"data_offsets":[0,2]}})",
                  "\1\2")));
  EXPECT_EQ(loaded.first.size(), 1u);
  EXPECT_TRUE(loaded.second.empty());
}

TEST(Safetensors, EightBitFloatsArriveAsBytes) {
  Folder folder;
  auto loaded = tarn::load_safetensors(folder.write(
      "m", safetensors(R"({"a":{"dtype":"F8_E4M3","shape":[2],"data_offsets":[0,2]}})", "\1\2")));
  EXPECT_EQ(loaded.first.at("a").dtype(), tarn::uint8);
}

TEST(Safetensors, ArraysOutliveTheResultAndTheFile) {
  Folder folder;
  array kept;
  {
    std::string path = folder.write(
        "m", safetensors(R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}})", "xy"));
    kept = tarn::load_safetensors(path).first.at("a");
    std::filesystem::remove(path);
  }
  EXPECT_EQ(values<uint8_t>(kept), (std::vector<uint8_t>{'x', 'y'}));
}

TEST(Safetensors, AliasesTheMappingAndCopiesWhatIsMisaligned) {
  Folder folder;
  std::string header = R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})";
  header.resize(64, ' ');
  std::string path = folder.write("aligned", safetensors(header, bytes_of(1.5f)));
  array a = tarn::load_safetensors(path).first.at("a");
  a.eval();
  EXPECT_EQ(tarn::name_of_mapped_file(a.data<float>()), path);
  array b = tarn::load_safetensors(folder.write("odd", safetensors(header + ' ', bytes_of(2.5f))))
                .first.at("a");
  b.eval();
  EXPECT_EQ(tarn::name_of_mapped_file(b.data<float>()), nullptr);
  EXPECT_EQ(b.item<float>(), 2.5f);
}

TEST(Safetensors, AFileThatOthersMayWriteIsCopied) {
  Folder folder;
  std::string header = R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}})";
  std::string path = folder.write("m", safetensors(header, "xy"));
  ::chmod(path.c_str(), 0666);
  array a = tarn::load_safetensors(path).first.at("a");
  EXPECT_EQ(tarn::name_of_mapped_file(a.data<uint8_t>()), nullptr);
  std::fstream(path, std::ios::in | std::ios::out | std::ios::binary).seekp(-2, std::ios::end)
      << "QQ";
  EXPECT_EQ(values<uint8_t>(a), (std::vector<uint8_t>{'x', 'y'}));
}

TEST(Safetensors, SaveAndLoadGiveTheSameBack) {
  Folder folder;
  std::unordered_map<std::string, array> arrays;
  arrays.emplace("halves", array({1.f, -2.f, 3.f}, tarn::Shape{3}));
  arrays.emplace("scalar", array(int64_t{7}));
  arrays.emplace("bools", array({true, false}));
  arrays.emplace("empty", array(std::vector<float>{}.begin(), tarn::Shape{0, 2}));
  tarn::save_safetensors(folder.at("m"), arrays, {{"format", "mlx"}, {"note", "ü\n\""}});
  auto loaded = tarn::load_safetensors(folder.at("m"));
  ASSERT_EQ(loaded.first.size(), arrays.size());
  for (const auto& [name, a] : arrays) {
    EXPECT_EQ(loaded.first.at(name).shape(), a.shape()) << name;
    EXPECT_EQ(loaded.first.at(name).dtype(), a.dtype()) << name;
  }
  EXPECT_EQ(values<float>(loaded.first.at("halves")), values<float>(arrays.at("halves")));
  EXPECT_EQ(loaded.first.at("scalar").item<int64_t>(), 7);
  EXPECT_EQ(loaded.second.at("note"), "ü\n\"");
  EXPECT_EQ(folder.names(), (std::vector<std::string>{"m"}));
}

TEST(Safetensors, NamesWhatIsWrong) {
  std::string one = "\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}";
  std::string fetch = " The file is damaged; fetch it again.";
  EXPECT_EQ(refused_safetensors("{" + one + "}", "12345"),
            "byte 66: 1 bytes after the last tensor belong to none." + fetch);
  EXPECT_EQ(refused_safetensors("{" + one + "}", "123"),
            "tensor \"a\" (header byte 1): data_offsets 0..4 leave the 3 bytes of data." + fetch);
  EXPECT_EQ(
      refused_safetensors(R"({"a":{"dtype":"F16","shape":[32,64],"data_offsets":[0,5]}})", "12345"),
      "tensor \"a\" (header byte 1): data_offsets 0..5 hold 5 bytes but F16 of shape (32, "
      "64) needs 4096." +
          fetch);
  EXPECT_EQ(
      refused_safetensors(
          R"({"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,4]}})", "1234"),
      "tensor \"a\" (header byte 1): data_offsets 0..4 hold 4 bytes but F32 of shape "
      "(4294967296, 4294967296) needs more." +
          fetch);
  EXPECT_EQ(
      refused_safetensors(
          "{" + one + ",\"b\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[3,5]}}", "12345"),
      "tensor \"b\" (header byte 54): its data begins at 3, the data before it ends at 4: "
      "tensors must cover the data without hole or overlap." +
          fetch);
  EXPECT_EQ(refused_safetensors("{\"a\":{\"dtype\":\"F4\",\"shape\":[1],\"data_offsets\":[0,4]}}",
                                "1234"),
            "tensor \"a\" (header byte 1): its dtype is \"F4\"; BOOL, U8 to U64, I8 to I64, F16, "
            "BF16, F32, F64, C64 and F8 are read." +
                fetch);
  EXPECT_EQ(refused_safetensors("{\"a\":{\"dtype\":\"U8\",\"shape\":[-1],\"data_offsets\":[0,4]}}",
                                "1234"),
            "tensor \"a\" (header byte 1): a size is -1; a whole number from 0 to 2^63 - 1 is "
            "needed." +
                fetch);
  EXPECT_EQ(
      refused_safetensors("{\"a\":{\"dtype\":\"U8\",\"shape\":[1,1,1,1,1,1,1,1,1],"
                          "\"data_offsets\":[0,1]}}",
                          "1"),
      "tensor \"a\" (header byte 1): \"shape\" has 9 numbers, at most 8 are allowed." + fetch);
  EXPECT_EQ(refused_safetensors("{\"\\u001b[2J\":{\"dtype\":\"U8\"}}", ""),
            "tensor \"\\x1b[2J\" (header byte 0): its entry has no list \"shape\"." + fetch);
  EXPECT_EQ(refused_safetensors("[]", ""),
            "byte 8: the header must begin with \"{\". This is no safetensors file, or it is "
            "damaged.");
}

TEST(Safetensors, RefusesKeysThatStandTwice) {
  Folder folder;
  std::string entry = R"("a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]})";
  std::string path = folder.write("m", safetensors("{" + entry + "," + entry + "}", "1"));
  EXPECT_EQ(error_of([&] { tarn::load_safetensors(path); }),
            "[json] " + path +
                " (header, 8 bytes in): byte 55: the key \"a\" stands twice in one object. Correct "
                "the text or fetch the file again.");
}

TEST(Safetensors, KnowsWhatIsSavedInPlaceOfWeights) {
  Folder folder;
  auto path = folder.write("lfs", "version https://git-lfs.github.com/spec/v1\noid sha256:1\n");
  EXPECT_EQ(error_of([&] { tarn::load_safetensors(path); }),
            "[load] " + path +
                ": this is a Git LFS pointer, not the data itself. Run `git lfs "
                "pull` where it came from.");
  path = folder.write("page", "<!DOCTYPE html><html>Not found</html>");
  EXPECT_EQ(error_of([&] { tarn::load_safetensors(path); }),
            "[load] " + path +
                ": this is a web page, probably an error message that was saved in "
                "place of the file. Fetch it again.");
}

TEST(Safetensors, RefusesPathsThatAreNoFiles) {
  Folder folder;
  EXPECT_EQ(error_of([&] { tarn::load_safetensors(folder.at("none")); }),
            "[load] " + folder.at("none") +
                ": cannot open: No such file or directory. Check the "
                "path.");
  EXPECT_EQ(error_of([&] { tarn::load_safetensors(folder.at("")); }),
            "[load] " + folder.at("") + ": this is a directory, a regular file is needed.");
  ASSERT_EQ(::mkfifo(folder.at("pipe").c_str(), 0600), 0);
  EXPECT_EQ(
      error_of([&] { tarn::load_safetensors(folder.at("pipe")); }),
      "[load] " + folder.at("pipe") + ": this is a pipe or device, a regular file is needed.");
}

std::string shard(const std::string& name) {
  return safetensors("{\"" + name + R"(":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})", "1");
}

TEST(SafetensorsDir, ReadsTheShardsOfTheIndex) {
  Folder folder;
  folder.write("model.safetensors.index.json",
               R"({"weight_map":{"a":"1.safetensors","b":"2.safetensors"}})");
  folder.write("1.safetensors", shard("a"));
  folder.write("2.safetensors", shard("b"));
  folder.write("stray.safetensors", shard("c"));
  auto loaded = tarn::load_safetensors_dir(folder.at(""));
  EXPECT_EQ(loaded.first.size(), 2u);
  EXPECT_EQ(loaded.first.count("b"), 1u);
}

TEST(SafetensorsDir, WithoutIndexReadsModelOrAll) {
  Folder folder;
  folder.write("x.safetensors", shard("a"));
  folder.write("y.safetensors", shard("b"));
  EXPECT_EQ(tarn::load_safetensors_dir(folder.at("")).first.size(), 2u);
  folder.write("model.safetensors", shard("c"));
  EXPECT_EQ(tarn::load_safetensors_dir(folder.at("")).first.count("c"), 1u);
}

TEST(SafetensorsDir, RefusesAWrongIndex) {
  Folder folder;
  auto index = folder.write("model.safetensors.index.json", R"({"weight_map":{"a":"../x"}})");
  auto load = [&] { tarn::load_safetensors_dir(folder.at("")); };
  EXPECT_EQ(error_of(load), "[load] " + index +
                                ": tensor \"a\" is said to lie in \"../x\"; the name "
                                "of a file in the same folder is needed.");
  folder.write("model.safetensors.index.json", R"({"weight_map":{"a":"1.safetensors"}})");
  EXPECT_EQ(error_of(load), "[load] " + folder.at("1.safetensors") +
                                ": cannot open: No such file or directory. Check the path.");
  folder.write("1.safetensors", shard("other"));
  EXPECT_EQ(error_of(load), "[load] " + folder.at("1.safetensors") +
                                ": tensor \"a\" is not there, although " + index +
                                " says so. Fetch the shard again.");
  folder.write("model.safetensors.index.json",
               R"({"weight_map":{"a":"1.safetensors","b":"2.safetensors"}})");
  folder.write("1.safetensors", shard("a"));
  folder.write("2.safetensors", shard("a"));
  EXPECT_EQ(error_of(load),
            "[load] " + folder.at("2.safetensors") + ": tensor \"a\" stands in another shard too.");
}

}  // namespace
}  // namespace tarn_test
