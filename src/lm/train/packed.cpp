#include "lm/train/packed.h"

#include <algorithm>
#include <array>

#include "tarn/ops.h"

namespace tarn::lm {
namespace {

constexpr const char* whole = "all";  // the one array's path

}  // namespace

bool can_be_packed(const TrainOptions& o) {
  constexpr std::array<const char*, 4> alone{"adam", "adamw", "sgd", "lion"};
  return default_device() == Device::gpu &&
         std::find(alone.begin(), alone.end(), o.optimizer) != alone.end();
}

Packed::Packed(const NamedParameters& like) {
  for (const auto& [path, a] : like) places_.emplace_back(path, a.shape());
}

array Packed::joined(const std::vector<array>& parts) const {
  std::vector<array> flat;
  for (const array& a : parts) flat.push_back(flatten(a));
  return concatenate(flat, 0);
}
std::vector<array> Packed::parts_of(const array& all) const {
  std::vector<array> parts;
  int64_t from = 0;
  for (const auto& [path, shape] : places_) {
    int64_t n = 1;
    for (int64_t d : shape) n *= d;
    parts.push_back(reshape(slice(all, {from}, {from + n}), shape));
    from += n;
  }
  return parts;
}

NamedParameters Packed::packed(const NamedParameters& named) const {
  if (places_.empty() || named.empty()) return named;
  std::vector<array> parts;
  for (const auto& [path, shape] : places_) parts.push_back(named.at(path));
  return {{whole, joined(parts)}};
}
NamedParameters Packed::named(const NamedParameters& packed) const {
  if (places_.empty() || packed.empty()) return packed;
  std::vector<array> parts = parts_of(packed.at(whole));
  NamedParameters named;
  for (size_t i = 0; i < places_.size(); ++i) named.emplace(places_[i].first, parts[i]);
  return named;
}

// A parameter's arrays have its path, a dot and a name.
optim::State Packed::packed_state(const optim::State& named) const {
  if (places_.empty()) return named;
  optim::State packed = named;
  const std::string first = places_[0].first + ".";
  for (auto it = named.lower_bound(first); it != named.end() && it->first.starts_with(first);
       ++it) {
    std::string name = it->first.substr(first.size());
    std::vector<array> parts;
    for (const auto& [path, shape] : places_) {
      parts.push_back(named.at(path + "." + name));
      packed.erase(path + "." + name);
    }
    packed.emplace(whole + ("." + name), joined(parts));
  }
  return packed;
}
optim::State Packed::named_state(const optim::State& packed) const {
  if (places_.empty()) return packed;
  optim::State named;
  const std::string first = std::string(whole) + ".";
  for (const auto& [name, a] : packed) {
    if (!name.starts_with(first)) {
      named.emplace(name, a);
      continue;
    }
    std::vector<array> parts = parts_of(a);
    for (size_t i = 0; i < places_.size(); ++i)
      named.emplace(places_[i].first + name.substr(first.size() - 1), parts[i]);
  }
  return named;
}

}  // namespace tarn::lm
