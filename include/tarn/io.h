// Arrays from and to files: .npy, .npz, safetensors and GGUF.
//
// Loading maps the file and lets arrays lie in it, so only what is used is read. A file that others
// may write (its group, everybody, or an owner who is neither this user nor root) is copied, and so
// is an array that is misaligned for its element type. A damaged file is a FileError that names
// file, tensor and byte. Saving writes a temporary file beside the target, syncs it and renames it:
// the target holds the old content or the new, never a part.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "tarn/array.h"
#include "tarn/device.h"
#include "tarn/gguf.h"
#include "tarn/streams.h"

namespace tarn {

// One array, as NumPy's .npy; bfloat16 is stored as MLX does, as two raw bytes (V2).
// The stream is there for MLX programs: loading runs no computation.
array load(const std::string& file, StreamOrDevice s = {});
void save(const std::string& file, const array& a);
// The same from the reader's position to its end, which is copied, and at the writer's position.
array load(const std::shared_ptr<io::Reader>& in, StreamOrDevice s = {});
void save(const std::shared_ptr<io::Writer>& out, const array& a);

// Named arrays, as NumPy's .npz. Compressed entries are read; they are written on request.
std::unordered_map<std::string, array> load_npz(const std::string& file);
void save_npz(const std::string& file, const std::unordered_map<std::string, array>& arrays,
              bool compressed = false);

// The arrays and the metadata.
using SafetensorsLoad =
    std::pair<std::unordered_map<std::string, array>, std::unordered_map<std::string, std::string>>;
// 8-bit floats (F8_E4M3, F8_E5M2, F8_E8M0), which no dtype holds, arrive as uint8.
SafetensorsLoad load_safetensors(const std::string& file, StreamOrDevice s = {});
// A folder with model.safetensors.index.json and the shards it names, or with one
// model.safetensors, or with *.safetensors files that have no tensor name in common.
SafetensorsLoad load_safetensors_dir(const std::string& dir);
void save_safetensors(const std::string& file, const std::unordered_map<std::string, array>& arrays,
                      const std::unordered_map<std::string, std::string>& metadata = {});
SafetensorsLoad load_safetensors(const std::shared_ptr<io::Reader>& in, StreamOrDevice s = {});
void save_safetensors(const std::shared_ptr<io::Writer>& out,
                      const std::unordered_map<std::string, array>& arrays,
                      const std::unordered_map<std::string, std::string>& metadata = {});

// The arrays and the metadata of a GGUF file in MLX's form. A quantised "x.weight" comes with
// "x.scales" and "x.biases"; GgufFile gives more.
using GGUFMetaData = std::variant<std::monostate, array, std::string, std::vector<std::string>>;
using GGUFLoad = std::pair<std::unordered_map<std::string, array>,
                           std::unordered_map<std::string, GGUFMetaData>>;
GGUFLoad load_gguf(const std::string& file, StreamOrDevice s = {});
// A value of GgufFile's metadata in the form of load_gguf, as save_gguf takes it.
GGUFMetaData gguf_metadata(const GgufValue& value);
void save_gguf(const std::string& file, const std::unordered_map<std::string, array>& arrays,
               const std::unordered_map<std::string, GGUFMetaData>& metadata = {});
// The same with weights that stay quantised. Throws ValueError for one that no type of GGUF holds
// exactly, see gguf_type_of.
void save_gguf_weights(const std::string& file, const GgufWeights& weights,
                       const std::unordered_map<std::string, GGUFMetaData>& metadata = {});

// The file that is mapped at this address, or nullptr. May be called from a signal handler: it is
// how a SIGBUS handler names the file that shrank. Any thread may load meanwhile.
const char* name_of_mapped_file(const void* address) noexcept;

}  // namespace tarn
