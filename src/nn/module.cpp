#include "tarn/nn/module.h"

#include <algorithm>
#include <set>

#include "base/require.h"

namespace tarn::nn::detail {

std::string misfits(const std::vector<std::pair<std::string, Shape>>& parameters,
                    const std::unordered_map<std::string, array>& weights, bool strict) {
  std::vector<std::string> found;
  std::set<std::string> known;
  for (const auto& [path, shape] : parameters) {
    known.insert(path);
    auto it = weights.find(path);
    if (it == weights.end()) {
      if (strict) found.push_back(fmt::format("{} is missing.", path));
    } else if (shape != Shape{0} && it->second.shape() != shape) {
      found.push_back(fmt::format("{} has shape {}, the model needs {}.", path,
                                  text_of(it->second.shape()), text_of(shape)));
    }
  }
  std::set<std::string> rest;
  for (const auto& [name, a] : weights)
    if (known.count(name) == 0) rest.insert(name);
  if (strict)
    for (const auto& name : rest)
      found.push_back(fmt::format("{} belongs to nothing in the model.", name));
  return fmt::format("{}", joined(found, " "));
}

void fail_misfits(const std::string& misfits) { fail("[load_parameters] {}", misfits); }

}  // namespace tarn::nn::detail
