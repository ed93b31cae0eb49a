// Arrays from and to streams of bytes.
#include <gtest/gtest.h>

#include "io_files.h"
#include "tarn/tarn.h"

namespace tarn_test {
namespace {

using namespace tarn;

TEST(IoStreams, AnArrayGoesThroughMemory) {
  auto out = std::make_shared<io::MemoryWriter>();
  array x({1.0f, 2.0f, 3.0f, 4.0f}, {2, 2});
  save(out, transpose(x));
  save(out, array({7, 8}));
  auto in = std::make_shared<io::MemoryReader>(out->bytes());
  // A reader is read to its end: an .npy file is the whole rest.
  EXPECT_EQ(error_of([&] { load(in); }),
            "[load] memory: byte 128: 152 bytes of numbers, float32 of shape (2, 2) needs 16. The "
            "file is cut off or damaged; save it again.");
  in->seek(128 + 16);
  EXPECT_EQ(values<int>(load(in)), (std::vector<int>{7, 8}));
  EXPECT_EQ(in->tell(), out->bytes().size());
  auto first = std::make_shared<io::MemoryReader>(out->bytes().substr(0, 128 + 16), "the first");
  EXPECT_EQ(values<float>(load(first)), (std::vector<float>{1, 3, 2, 4}));
}

TEST(IoStreams, TensorsGoThroughMemoryAndFiles) {
  Folder folder;
  std::unordered_map<std::string, array> arrays{{"a", array({1.0f, 2.0f})}, {"b", array({3, 4})}};
  auto memory = std::make_shared<io::MemoryWriter>();
  save_safetensors(memory, arrays, {{"made", "here"}});
  {
    auto file = std::make_shared<io::FileWriter>(folder.at("t"));
    EXPECT_TRUE(file->is_open() && file->good());
    EXPECT_EQ(file->label(), "file " + folder.at("t"));
    save_safetensors(file, arrays, {{"made", "here"}});
    EXPECT_EQ(file->tell(), memory->bytes().size());
  }
  EXPECT_EQ(folder.read("t"), memory->bytes());
  save_safetensors(folder.at("u"), arrays, {{"made", "here"}});
  EXPECT_EQ(folder.read("u"), memory->bytes());
  for (std::shared_ptr<io::Reader> in :
       {std::shared_ptr<io::Reader>(std::make_shared<io::MemoryReader>(memory->bytes())),
        std::shared_ptr<io::Reader>(std::make_shared<io::ParallelFileReader>(folder.at("t")))}) {
    auto [loaded, metadata] = load_safetensors(in);
    EXPECT_EQ(values<float>(loaded.at("a")), (std::vector<float>{1, 2}));
    EXPECT_EQ(values<int>(loaded.at("b")), (std::vector<int>{3, 4}));
    EXPECT_EQ(metadata.at("made"), "here");
  }
}

TEST(IoStreams, HavePositions) {
  io::MemoryWriter out;
  out.write("abcdef", 6);
  out.seek(-2, std::ios_base::end);
  out.write("XYZ", 3);
  out.seek(1);
  out.write("_", 1);
  EXPECT_EQ(out.bytes(), "a_cdXYZ");
  EXPECT_EQ(out.tell(), 2u);
  io::MemoryReader in(out.bytes());
  char two[3] = {};
  in.seek(2, std::ios_base::cur);
  in.read(two, 2);
  EXPECT_STREQ(two, "cd");
  in.read(two, 2, 5);
  EXPECT_STREQ(two, "YZ");
  EXPECT_EQ(in.tell(), 4u);
  EXPECT_EQ(error_of([&] { in.read(two, 2, 6); }),
            "[read] memory: byte 6: 2 bytes are needed, 1 are left.");
  EXPECT_EQ(error_of([&] { in.seek(-5, std::ios_base::cur); }),
            "[seek] memory: -5 bytes from byte 4 lie outside its 7 bytes.");
}

TEST(IoStreams, AnAbsentStreamIsRefused) {
  EXPECT_EQ(error_of([] { load(std::shared_ptr<io::Reader>()); }),
            "[load] the reader is not open.");
  EXPECT_EQ(error_of([] { save(std::shared_ptr<io::Writer>(), array(1.0f)); }),
            "[save] the writer is not open.");
  EXPECT_EQ(error_of([] { io::FileWriter("/nowhere/at/all"); }),
            "[save] /nowhere/at/all: the file cannot be opened for writing.");
}

}  // namespace
}  // namespace tarn_test
