// The parameters of modules in files: .safetensors or .npz, under their paths.
#pragma once

#include <string>
#include <unordered_map>
#include <utility>

#include "tarn/error.h"
#include "tarn/io.h"
#include "tarn/nn/module.h"

namespace tarn::nn {

namespace detail {
inline bool is_npz(const char* where, const std::string& file) {
  if (file.ends_with(".npz")) return true;
  if (file.ends_with(".safetensors")) return false;
  throw ValueError(std::string("[") + where + "] " + file +
                   ": the name must end in .safetensors or .npz.");
}
}  // namespace detail

// Writes every parameter, whole or not at all.
template <Tree M>
void save_weights(const std::string& file, const M& m) {
  std::unordered_map<std::string, array> weights;
  each_parameter(m, [&](const std::string& path, const array& a) { weights.emplace(path, a); });
  if (detail::is_npz("save_weights", file))
    save_npz(file, weights);
  else
    save_safetensors(file, weights);
}

// Reads every parameter. Throws FileError as load_parameters throws ValueError, naming the file.
template <Tree M>
void load_weights(M& m, const std::string& file, bool strict = true) {
  auto weights =
      detail::is_npz("load_weights", file) ? load_npz(file) : load_safetensors(file).first;
  if (auto wrong = detail::put_weights(m, weights, strict); !wrong.empty())
    throw FileError("[load_weights] " + file + ": " + wrong);
}

}  // namespace tarn::nn
