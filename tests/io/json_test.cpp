#include "base/json.h"

#include "io_files.h"

namespace tarn_test {
namespace {

std::string refused_json(const std::string& text) {
  auto first = error_of([&] { tarn::parse_json(text, "f.json"); });
  EXPECT_EQ(first, error_of([&] { tarn::parse_ordered_json(text, "f.json"); }));
  return first;
}
std::string message(int byte, const std::string& why) {
  return "[json] f.json: byte " + std::to_string(byte) + ": " + why +
         ". Correct the text or fetch the file again.";
}

TEST(Json, ReadsEveryKindOfValue) {
  std::string text = R"({"b":[1,-2,2.5,true,null,"x"],"a":{"z":18446744073709551615,"y":{}}})";
  EXPECT_EQ(tarn::parse_ordered_json(text, "f").dump(), text);
  EXPECT_EQ(tarn::parse_json(text, "f").dump(),
            R"({"a":{"y":{},"z":18446744073709551615},"b":[1,-2,2.5,true,null,"x"]})");
  EXPECT_EQ(tarn::parse_json(" 7 ", "f"), 7);
}

TEST(Json, NamesTheByte) {
  EXPECT_EQ(refused_json(R"({"a":1,"a":2})"),
            message(9, "the key \"a\" stands twice in one object"));
  EXPECT_EQ(refused_json("[1,]"), message(3,
                                          "syntax error while parsing value - unexpected ']'; "
                                          "expected '[', '{', or a literal"));
  EXPECT_EQ(refused_json(R"({"a":1e999})"), message(10, "number overflow parsing '1e999'"));
  EXPECT_EQ(refused_json("\"\x1b\""),
            message(1,
                    "syntax error while parsing value - invalid string: control character "
                    "U+001B (ESC) must be escaped to \\u001B; last read: '\"<U+001B>'"));
  EXPECT_EQ(refused_json("NaN").substr(0, 22), "[json] f.json: byte 0:");
  EXPECT_EQ(refused_json("{} x").substr(0, 22), "[json] f.json: byte 3:");
  EXPECT_EQ(refused_json("").substr(0, 22), "[json] f.json: byte 0:");
}

TEST(Json, DepthIsBounded) {
  std::string deep = std::string(128, '[') + std::string(128, ']');
  EXPECT_EQ(tarn::parse_json(deep, "f").dump(), deep);
  EXPECT_EQ(refused_json(std::string(1'000'000, '[')),
            message(128, "values nest deeper than 128 levels"));
}

TEST(Json, FilesAreBounded) {
  Folder folder;
  auto path = folder.write("f.json", "[1,2,3]");
  EXPECT_EQ(tarn::load_json(path).size(), 3u);
  EXPECT_EQ(error_of([&] { tarn::load_json(path, 6); }),
            "[load] " + path +
                ": the file has 7 bytes, at most 6 are read. It is not a file of the "
                "kind expected here.");
}

}  // namespace
}  // namespace tarn_test
