// A family of models of one's own: attention without positions, then a layer that is not gated.
// `load` knows it once it is registered; weights, caches, quantisation and GGUF tokenizers need
// nothing more.
#include <cmath>
#include <filesystem>
#include <fstream>
#include <iostream>

#include <tarn/lm.h>
#include <tarn/random.h>
#include <tarn/tarn.h>

using namespace tarn;
using lm::required;

// The keys of its config.json.
struct OwnArgs {
  int64_t width = required, depth = required, heads = 4, vocab_size = required;
  int64_t context = 1024;
  TARN_FIELDS(width, depth, heads, vocab_size, context)

  void check(const lm::Config& config) const {
    config.require(width > 0 && depth > 0 && heads > 0 && width % heads == 0 && vocab_size > 0,
                   "`width` must be a multiple of `heads`, and all sizes positive.");
  }
};

// Members have the names of the checkpoint: "blocks.0.attention.q.weight".
struct Attention {
  OwnArgs a;
  nn::Linear q = nn::Linear::of(a.width, a.width), k = nn::Linear::of(a.width, a.width);
  nn::Linear v = nn::Linear::of(a.width, a.width), out = nn::Linear::of(a.width, a.width);
  TARN_FIELDS(q, k, v, out)

  array operator()(const array& x, lm::Pass& pass, size_t layer) const {
    auto heads = [&](const array& y) { return unflatten(y, -1, {a.heads, -1}); };
    auto unturned = [](const array& y, int64_t) { return y; };
    float scale = 1 / std::sqrt(static_cast<float>(a.width / a.heads));
    return out(
        pass.attend(layer, heads(q(x)), heads(k(x)), heads(v(x)), unturned, {.scale = scale}));
  }
};

struct Block {
  OwnArgs a;
  nn::RMSNorm norm = nn::RMSNorm::of(a.width);
  Attention attention{a};
  nn::Linear up = nn::Linear::of(a.width, 2 * a.width), down = nn::Linear::of(2 * a.width, a.width);
  TARN_FIELDS(norm, attention, up, down)

  array operator()(const array& x, lm::Pass& pass, size_t layer) const {
    array h = x + attention(norm(x), pass, layer);
    return h + down(nn::relu(up(h)));
  }
};

struct OwnModel {
  OwnArgs a;
  nn::Embedding embed = nn::Embedding::of(a.vocab_size, a.width);
  std::vector<Block> blocks = nn::repeat<Block>(a.depth, a);
  nn::Linear head = nn::Linear::of(a.width, a.vocab_size);
  TARN_FIELDS(embed, blocks, head)

  array operator()(const array& ids, lm::Pass& pass) const {
    pass.check(ids);
    array h = embed(ids);
    for (size_t i = 0; i < blocks.size(); ++i) h = blocks[i](h, pass, i);
    return head(pass.wanted(h));
  }
  lm::ModelShape shape() const {
    lm::LayerShape layer{a.heads, a.width / a.heads, a.width / a.heads};
    return {a.depth, a.width, a.vocab_size, a.context,
            std::vector<lm::LayerShape>(static_cast<size_t>(a.depth), layer)};
  }
};

// A checkpoint with random numbers, as somebody's training would leave it.
void write_checkpoint(const std::filesystem::path& folder) {
  std::filesystem::create_directories(folder);
  std::ofstream(folder / "config.json")
      << R"({"model_type": "own", "width": 32, "depth": 2, "vocab_size": 5})";
  std::ofstream(folder / "tokenizer.json")
      << R"({"added_tokens": [], "model": {"type": "BPE", "merges": [],
             "vocab": {"a": 0, "b": 1, "c": 2, "d": 3, "e": 4}}})";
  std::unordered_map<std::string, array> weights;
  OwnModel shapes{OwnArgs{.width = 32, .depth = 2, .vocab_size = 5}};
  uint64_t seed = 1;
  auto fill = [&](const std::string& path, nn::Matrix& m) {
    weights.emplace(path + ".weight",
                    random::normal({m.rows, m.columns}, float32, 0.0f, 0.2f, random::key(seed++)));
  };
  nn::each<nn::Linear>(shapes, fill);
  nn::each<nn::Embedding>(shapes, fill);
  nn::each<nn::RMSNorm>(shapes, [&](const std::string& path, nn::RMSNorm& norm) {
    weights.emplace(path + ".weight", ones({norm.size}));
  });
  save_safetensors((folder / "model.safetensors").string(), weights);
}

int main() {
  auto folder = std::filesystem::temp_directory_path() / "tarn-own-model";
  write_checkpoint(folder);

  lm::register_architecture(lm::architecture<OwnModel, OwnArgs>("own"));
  lm::LanguageModel model = lm::load(folder);

  int tokens = 0;
  for (const lm::Event& event : lm::generate(model, {0, 1, 2}, {.max_tokens = 8}))
    tokens += static_cast<int>(event.ids.size());
  std::cout << tokens << " tokens of a model with " << model.model.shape().layers << " layers\n";
  std::filesystem::remove_all(folder);
}

// Output:
//   8 tokens of a model with 2 layers
