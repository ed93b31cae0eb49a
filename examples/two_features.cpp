// One app with two features: one names conversations, one sorts messages. Each has an adapter of
// its own over one base model, and both are answered at the same time. The model and the adapters
// are small random ones here; an app has folders with those that it trained.
#include <filesystem>
#include <fstream>
#include <iostream>

#include <tarn/io.h>
#include <tarn/lm.h>
#include <tarn/ops.h>
#include <tarn/random.h>

using namespace tarn;
namespace fs = std::filesystem;

// A Llama of one layer and 64 tokens with random numbers.
void write_model(const fs::path& folder) {
  fs::create_directories(folder);
  std::ofstream(folder / "config.json") << R"({"model_type": "llama", "hidden_size": 64,
      "num_hidden_layers": 1, "intermediate_size": 64, "num_attention_heads": 2,
      "num_key_value_heads": 2, "vocab_size": 64, "rms_norm_eps": 1e-5,
      "max_position_embeddings": 128, "tie_word_embeddings": true})";
  std::ofstream tokenizer(folder / "tokenizer.json");
  tokenizer << R"({"added_tokens": [], "model": {"type": "BPE", "merges": [], "vocab": {)";
  for (int i = 0; i < 64; ++i) tokenizer << (i ? "," : "") << "\"t" << i << "\":" << i;
  tokenizer << "}}}";
  std::unordered_map<std::string, array> weights;
  uint64_t seed = 1;
  auto matrix = [&](const std::string& name, int64_t rows) {
    array numbers = random::normal({rows, 64}, float32, 0.0f, 0.3f, random::key(seed++));
    weights.emplace(name + ".weight", numbers);
  };
  matrix("model.embed_tokens", 64);
  std::string layer = "model.layers.0.";
  for (const char* name : {"q_proj", "k_proj", "v_proj", "o_proj"})
    matrix(layer + "self_attn." + name, 64);
  for (const char* name : {"gate_proj", "up_proj", "down_proj"}) matrix(layer + "mlp." + name, 64);
  for (const char* name : {"layers.0.input_layernorm", "layers.0.post_attention_layernorm", "norm"})
    weights.emplace(std::string("model.") + name + ".weight", ones({64}));
  save_safetensors((folder / "model.safetensors").string(), weights);
}

// What a training leaves: a folder with adapter_config.json and adapters.safetensors.
void write_adapter(const lm::LanguageModel& base, const fs::path& folder, uint64_t seed) {
  lm::LanguageModel trained = base;
  auto adapter = lm::LoRAContainer::from(base, {.lora_parameters = {.rank = 4, .scale = 1}});
  adapter.load(trained);
  trained.model.parameters([&](const std::string& path, array& a) {
    if (path.ends_with("lora_b")) a = random::normal(a.shape(), random::key(seed++));
  });
  adapter.updated_from(trained).save(folder);
}

std::vector<int32_t> ids_of(lm::Generation generation) {
  std::vector<int32_t> ids;
  for (const lm::Event& event : generation)
    ids.insert(ids.end(), event.ids.begin(), event.ids.end());
  return ids;
}

int main() {
  fs::path folder = fs::temp_directory_path() / "tarn-two-features";
  write_model(folder / "base");
  lm::ModelContainer container(lm::load(folder / "base"));
  write_adapter(*container.model(), folder / "titles", 100);
  write_adapter(*container.model(), folder / "labels", 200);

  // Both are there at the price of their own few numbers; each request says which it wants.
  container.update([&](lm::LanguageModel& model) {
    for (const char* name : {"titles", "labels"})
      lm::LoRAContainer::from(folder / name).load(model, {.on_request = true});
  });
  lm::Engine engine(container);
  auto ask = [&](const std::string& adapter) {
    return engine.generate(
        {.tokens = {1, 2, 3}},
        {.max_tokens = 12, .temperature = 0, .adapter = {adapter}, .precision = Precision::exact});
  };
  lm::Generation titles = ask("titles"), labels = ask("labels"), plain = ask("");
  auto title = ids_of(titles), label = ids_of(labels), base = ids_of(plain);
  std::cout << "titles and labels answer differently: " << (title != label ? "yes" : "no") << "\n"
            << "and neither as the base: " << (title != base && label != base ? "yes" : "no")
            << "\n";

  // Without adapters the model is the one from before.
  container.update([](lm::LanguageModel& model) {
    lm::unload_adapter(model, "titles");
    lm::unload_adapter(model, "labels");
  });
  std::cout << "the base is as it was: " << (ids_of(ask("")) == base ? "yes" : "no") << "\n";
  fs::remove_all(folder);
}

// Output:
//   titles and labels answer differently: yes
//   and neither as the base: yes
//   the base is as it was: yes
