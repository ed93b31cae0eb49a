// Damaged function files: an error that names the file, or a function that can be called.
#include "export/bytes.h"
#include "io_damage.h"
#include "tarn/tarn.h"

namespace tarn_test {
namespace {

using tarn::array;
using Arrays = std::vector<array>;
namespace format = tarn::function_file;

// Ops of every kind, with parameters of every type, two recordings and captured arrays.
Arrays network(const Arrays& in, const array& w) {
  array x = reshape(tarn::transpose(in[0]), {3, 2});
  array y = tarn::softmax(tarn::matmul(x, w), -1);
  array picked = tarn::take(y, array({0, 2}), 0);
  array part = tarn::slice(y, {0, 1}, {3, 4}, {2, 1});
  array box = tarn::slice_update(y, array({1.0f}, {1, 1}), {1, 1}, {2, 2});
  array joined = tarn::concatenate({picked, y, box}, 0);
  array half = tarn::astype(joined, tarn::float16);
  array where = tarn::where(joined > array(0.2f), joined, array(0.0f));
  array sorted = tarn::sort(tarn::cumsum(where, 1), 0);
  return {sorted, tarn::argmax(half, 1), tarn::sum(part, std::vector<int>{0, 1}),
          tarn::as_strided(y, {2, 2}, {4, 1}, 1)};
}

std::string seed() {
  Folder folder;
  array w = tarn::reshape(tarn::arange(0.0, 8.0, 1.0), {2, 4}) * array(0.1f);
  auto to = tarn::exporter(
      folder.at("f"), [&](const tarn::Args& in) { return network(in, w); }, true, "some metadata");
  to({tarn::ones({2, 3})});
  to({tarn::ones({2, 3}, tarn::float64)});
  to.close();
  return folder.read("f");
}

// As a program would: read, call with what the recordings take, look at the results.
Reader reader(const Folder& folder) {
  return [&folder](const std::string& bytes) {
    auto f = tarn::import_function(folder.write("f", bytes));
    for (tarn::Dtype t : {tarn::float32, tarn::float64})
      for (int64_t n : {3, 6}) {
        try {
          for (const auto& out : f({tarn::ones({2, n}, t)}))
            if (out.nbytes() < 1 << 20) touch(out);
        } catch (const tarn::ValueError&) {  // no such recording any more
        } catch (const tarn::IndexError&) {  // a captured index was damaged
        } catch (const tarn::DeviceError&) {
        }
      }
  };
}

// The file with a checksum that is right again, as an enemy would write it.
std::string resealed(std::string bytes) {
  if (bytes.size() < format::front_bytes) return bytes;
  uint64_t length = 0;
  std::memcpy(&length, bytes.data() + 12, sizeof length);
  if (length > bytes.size() - format::front_bytes) {
    length = bytes.size() - format::front_bytes;
    std::memcpy(bytes.data() + 12, &length, sizeof length);
  }
  uint64_t sum = format::checksum(as_bytes(bytes).subspan(format::front_bytes, length));
  std::memcpy(bytes.data() + 20, &sum, sizeof sum);
  return bytes;
}

TEST(FunctionFileDamage, EveryLengthIsRefused) {
  Folder folder;
  truncate_everywhere(seed(), reader(folder));
}

TEST(FunctionFileDamage, EveryFlippedBitOfTheHeaderIsRefused) {
  Folder folder;
  std::string bytes = seed();
  uint64_t length = 0;
  std::memcpy(&length, bytes.data() + 12, sizeof length);
  for (size_t bit = 0; bit < (format::front_bytes + length) * 8; ++bit) {
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << (bit % 8)));
    EXPECT_NE(error_of([&] { tarn::import_function(folder.write("f", bytes)); }), "no error")
        << bit;
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << (bit % 8)));
  }
}

TEST(FunctionFileDamage, AnEnemyKnowsTheChecksum) {
  Folder folder;
  auto read = reader(folder);
  flip_every_bit(seed(), [&](const std::string& bytes) { read(resealed(bytes)); });
  damage_at_random(
      seed(), [&](const std::string& bytes) { read(resealed(bytes)); }, 3000);
}

// --- single lies, each with the whole error

std::string number(uint32_t n) { return bytes_of(n); }
std::string word(const std::string& t) { return number(static_cast<uint32_t>(t.size())) + t; }
std::string spec(const std::string& dtype, const std::vector<int64_t>& shape) {
  std::string bytes = word(dtype) + number(static_cast<uint32_t>(shape.size()));
  for (int64_t d : shape) bytes += bytes_of(d);
  return bytes;
}
std::string file(const std::string& header) {
  return resealed(std::string(format::magic) + number(format::version) +
                  bytes_of(uint64_t{header.size()}) + bytes_of(uint64_t{0}) + header);
}
// One recording that takes a float32 (2,), with these operations and results.
std::string recording(const std::string& calls, const std::string& outputs) {
  return word("0.1.0") + word("") + number(0) + number(1) + std::string(1, '\0') + number(1) +
         number(0) + spec("float32", {2}) + calls + outputs;
}
std::string call(const std::string& op, const std::string& params, const std::vector<int32_t>& in) {
  std::string bytes = word(op) + word(params) + number(static_cast<uint32_t>(in.size()));
  for (int32_t i : in) bytes += bytes_of(i);
  return bytes;
}
std::string says(const std::string& bytes) {
  Folder folder;
  std::string path = folder.write("f", bytes);
  std::string error = error_of([&] { tarn::import_function(path); });
  size_t at = error.find(path);
  return at == error.npos ? "no name in: " + error
                          : error.substr(0, at) + "F" + error.substr(at + path.size());
}

TEST(FunctionFile, ALieIsNamedWithItsPlace) {
  auto one = number(1), none = number(0);
  std::string good = one + call("exp", "", {0}), result = one + bytes_of(int32_t{1});
  EXPECT_EQ(error_of([&] {
              Folder folder;
              auto f = tarn::import_function(folder.write("f", file(recording(good, result))));
              touch(f({array({1.0f, 2.0f})})[0]);
            }),
            "no error");
  EXPECT_EQ(says("no function"),
            "[import_function] F: byte 0: this is no function that Tarn exported.");
  std::string newer = file(recording(good, result));
  newer[8] = 2;
  EXPECT_EQ(says(newer),
            "[import_function] F: byte 12: the format has version 2; this library reads version "
            "1.");
  std::string flipped = file(recording(good, result));
  flipped.back() = static_cast<char>(flipped.back() ^ 1);
  EXPECT_EQ(says(flipped),
            "[import_function] F: byte 112: the header does not have the checksum that was "
            "written with it. The file is damaged; fetch it again.");
  EXPECT_EQ(says(file(recording(one + call("no_such_op", "", {0}), result))),
            "[import_function] F: byte 99: no operation that a file can hold is called "
            "\"no_such_op\".");
  EXPECT_EQ(says(file(recording(one + call("exp", "axis=1", {0}), result))),
            "[import_function] F: byte 102: exp has no parameters \"axis=1\".");
  EXPECT_EQ(says(file(recording(one + call("sum", "axes=(4)", {0}), result))),
            "[import_function] F: byte 112: sum cannot take 1 inputs with these shapes, dtypes "
            "and parameters (axes=(4)).");
  // A cycle: the first operation reads its own result.
  EXPECT_EQ(says(file(recording(one + call("exp", "", {1}), result))),
            "[import_function] F: byte 104: a reference to value 1, and there are 1 and 0 "
            "constants before it.");
  EXPECT_EQ(says(file(recording(good, one + bytes_of(int32_t{-1})))),
            "[import_function] F: byte 112: a reference to value -1, and there are 2 and 0 "
            "constants before it.");
  EXPECT_EQ(says(file(recording(number(4000000000), result))),
            "[import_function] F: byte 85: 4000000000 operations, and only 8 bytes are left for "
            "them.");
  EXPECT_EQ(says(file(recording(good, result) + "x")),
            "[import_function] F: byte 112: 1 bytes are left over.");
}

TEST(FunctionFile, ConstantsLieInTheFile) {
  auto with = [](const std::string& shape, uint64_t at) {
    return file(word("0.1.0") + word("") + number(1) + shape + bytes_of(at) + number(0));
  };
  EXPECT_EQ(says(with(spec("float32", {2}), 0)),
            "[import_function] F: byte 76: a constant lies in the bytes 0 to 8 of 0. The file is "
            "cut off or damaged; fetch it again.");
  EXPECT_EQ(says(with(spec("float32", {-2}), 0)),
            "[import_function] F: byte 68: no array has the shape (-2).");
  EXPECT_EQ(says(with(spec("float32", {int64_t{1} << 62, 0}), 0)),
            "[import_function] F: byte 76: no array has the shape (4611686018427387904, 0).");
  EXPECT_EQ(says(with(spec("float33", {2}), 0)),
            "[import_function] F: byte 56: no dtype is called \"float33\".");
  EXPECT_EQ(says(with(spec("float32", std::vector<int64_t>(65, 1)), 0)),
            "[import_function] F: byte 60: 65 axes; at most 64 are read.");
}

}  // namespace
}  // namespace tarn_test
