// A model in one GGUF file: names, sizes and row order brought to those of config.json.
#include <algorithm>
#include <array>

#include "base/require.h"
#include "lm/load/load.h"
#include "tarn/gguf.h"

namespace tarn::lm {
namespace {

// Tensor names inside a block, and ours.
constexpr std::array<std::pair<std::string_view, std::string_view>, 9> block_names{{
    {"attn_norm", "input_layernorm"},
    {"attn_q", "self_attn.q_proj"},
    {"attn_k", "self_attn.k_proj"},
    {"attn_v", "self_attn.v_proj"},
    {"attn_output", "self_attn.o_proj"},
    {"ffn_norm", "post_attention_layernorm"},
    {"ffn_gate", "mlp.gate_proj"},
    {"ffn_up", "mlp.up_proj"},
    {"ffn_down", "mlp.down_proj"},
}};

std::string our_name(std::string_view name) {
  auto dot = name.rfind('.');
  std::string_view stem = name.substr(0, dot);
  std::string suffix = dot == std::string_view::npos ? "" : std::string(name.substr(dot));
  if (stem == "token_embd") return "model.embed_tokens" + suffix;
  if (stem == "output_norm") return "model.norm" + suffix;
  if (stem == "output") return "lm_head" + suffix;
  if (stem.substr(0, 4) == "blk.") {
    auto second = stem.find('.', 4);
    if (second != std::string_view::npos)
      for (auto [theirs, ours] : block_names)
        if (stem.substr(second + 1) == theirs)
          return "model.layers." + std::string(stem.substr(4, second - 4)) + "." +
                 std::string(ours) + suffix;
  }
  return std::string(name);
}

Json config_of(const GgufFile& f) {
  std::string family(f.text("general.architecture"));
  auto key = [&](const char* name) { return family + "." + name; };
  Json c;
  c["model_type"] = family;
  c["hidden_size"] = f.integer(key("embedding_length"));
  c["num_hidden_layers"] = f.integer(key("block_count"));
  c["intermediate_size"] = f.integer(key("feed_forward_length"));
  c["num_attention_heads"] = f.integer(key("attention.head_count"));
  c["num_key_value_heads"] =
      f.integer(key("attention.head_count_kv"), f.integer(key("attention.head_count")));
  c["rms_norm_eps"] = f.number(key("attention.layer_norm_rms_epsilon"));
  c["rope_theta"] = f.number(key("rope.freq_base"), 10000.0);
  c["max_position_embeddings"] = f.integer(key("context_length"), 2048);
  if (f.has(key("attention.key_length"))) c["head_dim"] = f.integer(key("attention.key_length"));
  const GgufTensor* embedding = f.find_tensor("token_embd.weight");
  require<FileError>(embedding && embedding->shape.size() == 2,
                     "[load] {} has no tensor token_embd.weight of two axes.", f.path());
  c["vocab_size"] = embedding->rows();
  c["tie_word_embeddings"] = f.find_tensor("output.weight") == nullptr;
  return c;
}

// llama.cpp's files hold the rows of q and k so that rotated pairs are neighbours; ours rotates
// (i, i + half). Row r of a head comes from row 2 r or 2 (r - half) + 1.
GgufRowOrder row_order(const Json& config) {
  int64_t heads = config["num_attention_heads"], kv = config["num_key_value_heads"];
  return [heads, kv](const GgufTensor& t) {
    std::vector<int64_t> order;
    bool q = t.name.find(".attn_q.") != std::string_view::npos;
    bool k = t.name.find(".attn_k.") != std::string_view::npos;
    int64_t n = q ? heads : kv, rows = t.rows();
    if ((!q && !k) || n <= 0 || rows % (2 * n) != 0) return order;
    int64_t head = rows / n, half = head / 2;
    for (int64_t r = 0; r < rows; ++r) {
      int64_t in_head = r % head;
      order.push_back(r - in_head + (in_head < half ? 2 * in_head : 2 * (in_head - half) + 1));
    }
    return order;
  };
}

}  // namespace

LanguageModel load_gguf_model(const std::filesystem::path& file, const LoadOptions& options) {
  auto check_stop = [&] {
    require<Cancelled>(!options.stop.stop_requested(), "[load] stopped on request.");
  };
  GgufFile f = GgufFile::open(file.string());
  Json config = config_of(f);
  LanguageModel lm;
  lm.name = std::string(f.text("general.name", file.stem().string()));
  lm.model = make_model(config, f.path());
  check_stop();
  uint64_t total = 0;
  for (const auto& t : f.tensors()) total += t.bytes.size();
  Weights weights;
  std::unordered_map<std::string, Grouping> groupings;
  for (auto& [name, weight] : f.load_all(row_order(config))) {
    std::string ours = our_name(name);
    if (name == "rope_freqs.weight") continue;
    if (auto* dense = std::get_if<array>(&weight)) {
      weights.insert_or_assign(ours, std::move(*dense));
      continue;
    }
    auto& q = std::get<GgufQuantised>(weight);
    std::string stem = ours.substr(0, ours.rfind('.'));
    groupings[stem] = {q.group_size, q.bits};
    weights.insert_or_assign(ours, std::move(q.weight));
    weights.insert_or_assign(stem + ".scales", std::move(q.scales));
    weights.insert_or_assign(stem + ".biases", std::move(q.biases));
  }
  check_stop();
  if (options.progress) options.progress(total, total);
  fill_parameters(
      lm.model, std::move(weights), [&](const std::string& path) { return groupings.at(path); },
      f.path());
  lm.tokenizer = Tokenizer::from_gguf(f);
  if (f.has("tokenizer.chat_template"))
    lm.chat_template = ChatTemplate::parse(f.text("tokenizer.chat_template"), lm.name);
  for (const char* key : {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id"})
    if (f.has(key)) lm.stop_ids.push_back(static_cast<int32_t>(f.integer(key)));
  for (const char* token : {"<|im_end|>", "<|eot_id|>", "<|end|>"})
    if (auto id = lm.tokenizer.id_of(token)) lm.stop_ids.push_back(*id);
  std::sort(lm.stop_ids.begin(), lm.stop_ids.end());
  lm.stop_ids.erase(std::unique(lm.stop_ids.begin(), lm.stop_ids.end()), lm.stop_ids.end());
  return lm;
}

}  // namespace tarn::lm
