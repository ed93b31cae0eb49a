// Loads a file and saves it again, for tests/oracle/io_test.py.
//
//   io_driver IN OUT     formats by extension: .npy .npz .safetensors .gguf
//
// .npy to .npy; the others to each other. Metadata of safetensors is kept. An error goes to stderr
// and makes the exit status 1.
#include <cstdio>
#include <string>

#include "tarn/error.h"
#include "tarn/io.h"

namespace {

using Arrays = std::unordered_map<std::string, tarn::array>;

void convert(const std::string& in, const std::string& out) {
  if (in.ends_with(".npy")) {
    tarn::save(out, tarn::load(in));
    return;
  }
  Arrays arrays;
  std::unordered_map<std::string, std::string> metadata;
  if (in.ends_with(".npz"))
    arrays = tarn::load_npz(in);
  else if (in.ends_with(".gguf"))
    arrays = tarn::load_gguf(in).first;
  else
    std::tie(arrays, metadata) = tarn::load_safetensors(in);
  if (out.ends_with(".npz"))
    tarn::save_npz(out, arrays, out.ends_with(".small.npz"));
  else if (out.ends_with(".gguf"))
    tarn::save_gguf(out, arrays);
  else
    tarn::save_safetensors(out, arrays, metadata);
}

}  // namespace

int main(int count, char** words) {
  if (count != 3) {
    std::fprintf(stderr, "usage: io_driver IN OUT\n");
    return 2;
  }
  try {
    convert(words[1], words[2]);
  } catch (const tarn::Error& e) {
    std::fprintf(stderr, "%s\n", e.message());
    return 1;
  }
  return 0;
}
