// How a dense decoder is divided: heads and inner values by rows of the matrices that make them and
// by columns of those that read them (Shoeybi et al. 2019, Megatron-LM).
#include "lm/load/divide.h"

#include <algorithm>
#include <optional>
#include <string_view>
#include <utility>

#include "base/printable.h"
#include "base/require.h"
#include "lm/models/division.h"
#include "tarn/lm/distributed.h"
#include "tarn/nn/distributed.h"
#include "tarn/ops.h"

namespace tarn::lm {
namespace {

// What a config says of the sizes that are divided.
struct Sizes {
  int64_t heads = 0, kv_heads = 0, head = 0, inner = 0;
};

int64_t size_in(const Checkpoint& c, const char* key, std::optional<int64_t> otherwise = {}) {
  auto it = c.config.find(key);
  bool there = it != c.config.end() && it->is_number_integer() && it->get<int64_t>() > 0;
  require<FileError>(there || otherwise, "[load_divided] {} lacks a positive `{}`.", c.config_file,
                     key);
  return there ? it->get<int64_t>() : *otherwise;
}

Sizes sizes_of(const Checkpoint& c) {
  Sizes s;
  s.heads = size_in(c, "num_attention_heads");
  s.kv_heads = size_in(c, "num_key_value_heads", s.heads);
  s.head = size_in(c, "head_dim", size_in(c, "hidden_size") / s.heads);
  s.inner = size_in(c, "intermediate_size");
  return s;
}

void divide_config(Checkpoint& c, const Sizes& s, int64_t ranks) {
  for (auto [what, size] : {std::pair("heads", s.heads),
                            {"key heads", s.kv_heads},
                            {"inner values of its MLP", s.inner}})
    require<FileError>(size % ranks == 0,
                       "[load_divided] {}: the model has {} {}, which cannot be divided over {} "
                       "ranks.",
                       c.config_file, size, what, ranks);
  c.config["num_attention_heads"] = s.heads / ranks;
  c.config["num_key_value_heads"] = s.kv_heads / ranks;
  c.config["head_dim"] = s.head;
  c.config["intermediate_size"] = s.inner / ranks;
}

// Which way a matrix is divided, and the segments, in rows, that are divided apart.
struct Way {
  std::string_view matrix{};
  bool by_rows = true;
  std::vector<int64_t> segments{};
};
std::vector<Way> ways_of(const Sizes& s) {
  int64_t q = s.heads * s.head, kv = s.kv_heads * s.head;
  return {{"self_attn.q_proj", true, {q}},  {"self_attn.k_proj", true, {kv}},
          {"self_attn.v_proj", true, {kv}}, {"self_attn.qkv_proj", true, {q, kv, kv}},
          {"self_attn.o_proj", false, {}},  {"mlp.gate_proj", true, {s.inner}},
          {"mlp.up_proj", true, {s.inner}}, {"mlp.gate_up_proj", true, {s.inner, s.inner}},
          {"mlp.down_proj", false, {}}};
}

bool is_whole_everywhere(std::string_view name) {
  return name.find("embed_tokens.") != name.npos || name.starts_with("lm_head.") ||
         name.ends_with("norm.weight");
}

array divided(const std::string& name, const array& a, const Way& way,
              const distributed::Group& group) {
  if (way.by_rows) return nn::shard(a, 0, way.segments, group, name);
  if (!name.ends_with(".bias")) return nn::shard(a, -1, {a.shape(-1)}, group, name);
  return group.rank() == 0 ? a : zeros_like(a);  // the sum has it once
}

}  // namespace

void divide(Checkpoint& c, const distributed::Group& group) {
  Sizes sizes = sizes_of(c);
  divide_config(c, sizes, group.size());
  auto ways = ways_of(sizes);
  for (auto& [name, a] : c.weights) {
    if (is_whole_everywhere(name)) continue;
    std::string stem = name.substr(0, name.rfind('.'));
    auto way = std::find_if(ways.begin(), ways.end(),
                            [&](const Way& w) { return stem.ends_with(w.matrix); });
    require<FileError>(way != ways.end() && a.ndim() > 0,
                       "[load_divided] {}: how {} is to be divided is not known.", c.weights_file,
                       printable(name));
    try {
      a = divided(name, a, *way, group);
    } catch (const ShapeError& error) {
      fail<FileError>("[load_divided] {}: {}", c.weights_file, error.what());
    }
  }
}

LanguageModel load_divided(const std::filesystem::path& path, const distributed::Group& group,
                           const LoadOptions& options) {
  if (group.size() == 1) return load(path, options);
  DivisionScope scope(group);
  LanguageModel lm = load(path, options);
  require<FileError>(scope.has_model(),
                     "[load_divided] {}: models of this family cannot be divided.",
                     printable(path.string(), 4096));
  // Now, so that the rest of each weight can go.
  std::vector<array> parts;
  lm.model.parameters([&](const std::string&, array& a) { parts.push_back(a); });
  eval(parts);
  return lm;
}

}  // namespace tarn::lm
