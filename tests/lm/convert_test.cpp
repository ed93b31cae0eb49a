// Conversions of small models: what is written loads and gives the numbers it should; what cannot
// be leaves nothing behind.
#include "tarn/lm/convert.h"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "answers.h"
#include "base/text.h"
#include "error_of.h"
#include "small_models.h"
#include "tarn/lm.h"

namespace tarn_test {
namespace {

using tarn::array;

class Convert : public SmallModels {
 protected:
  array logits(const fs::path& path) { return logits_of(load(path).model, small_prompts()); }
  std::string error(const fs::path& from, const fs::path& to, const ConvertOptions& options) {
    return error_in(folder_, [&] { convert(from, to, options); });
  }
  size_t entries() const {
    return static_cast<size_t>(std::distance(fs::directory_iterator(folder_), {}));
  }
};

TEST_F(Convert, QuantisedFoldersGiveWhatTheirDequantisedOnesGive) {
  fs::path from = write("llama3");
  auto matrix = [](const fs::path& path) {
    return tarn::load_safetensors((path / "model.safetensors").string())
        .first.at("model.layers.1.mlp.up_proj.weight");
  };
  struct Case {
    const char* name;
    tarn::nn::Quantization how;
    double step;  // between neighbouring codes, of numbers within 0.25 at most
  };
  for (const Case& c : {Case{"8", {.group_size = 32, .bits = 8}, 0.5 / 255},
                        {"6", {.group_size = 32, .bits = 6}, 0.5 / 63},
                        {"5", {.group_size = 32, .bits = 5}, 0.5 / 31},
                        {"4", {.group_size = 32, .bits = 4}, 0.5 / 15},
                        {"3", {.group_size = 32, .bits = 3}, 0.5 / 7},
                        {"2", {.group_size = 32, .bits = 2}, 0.5 / 3},
                        {"mxfp4", {.mode = "mxfp4"}, 2 * 0.0625},
                        {"nvfp4", {.mode = "nvfp4"}, 2 * 0.0625},
                        {"mxfp8", {.mode = "mxfp8"}, 0.25 / 8}}) {
    fs::path to = folder_ / (std::string("to") + c.name);
    fs::path back = folder_ / (std::string("b") + c.name);
    convert(from, to, {.quantization = c.how});
    convert(to, back, {.dequantise = true, .dtype = tarn::float32});
    double off = worst_difference(matrix(back), matrix(from));
    EXPECT_LT(off, c.step) << c.name;
    EXPECT_GT(off, 0.1 * c.step) << c.name;  // something was quantised
    array got = logits(to), again = logits(back);
    EXPECT_LT(worst_difference(again, got) / double{tarn::max(tarn::abs(got)).item<float>()}, 1e-4)
        << c.name;
    EXPECT_LT(fs::file_size(to / "model.safetensors"), fs::file_size(from / "model.safetensors"));
  }
}

TEST_F(Convert, MixturesAndChoicesStandInTheConfig) {
  fs::path from = write("llama");
  convert(from, folder_ / "mixed",
          {.choose = [](const std::string& path,
                        const tarn::nn::Matrix&) -> std::optional<tarn::nn::Quantization> {
            if (path == "lm_head") return std::nullopt;
            bool more = path.find("down_proj") != path.npos;
            return tarn::nn::Quantization{.group_size = 32, .bits = more ? 8 : 4};
          }});
  Json config = tarn::load_json((folder_ / "mixed/config.json").string());
  EXPECT_EQ(config["quantization"]["bits"], 4);
  EXPECT_EQ(config["quantization"]["model.layers.0.mlp.down_proj"],
            (Json{{"group_size", 32}, {"bits", 8}, {"mode", "affine"}}));
  auto weights = tarn::load_safetensors((folder_ / "mixed/model.safetensors").string()).first;
  EXPECT_EQ(weights.count("lm_head.scales"), 0u);
  EXPECT_EQ(weights.count("model.embed_tokens.scales"), 1u);
  logits(folder_ / "mixed");
  convert(from, folder_ / "recipe", {.recipe = "mixed_3_6"});
  config = tarn::load_json((folder_ / "recipe/config.json").string());
  EXPECT_EQ(config["quantization"]["bits"], 3);
  EXPECT_EQ(config["quantization"]["lm_head"]["bits"], 6);
  EXPECT_EQ(config["quantization"]["model.layers.2.self_attn.v_proj"]["bits"], 6);
  logits(folder_ / "recipe");
}

TEST_F(Convert, CompanionsComeAlong) {
  fs::path from = write("qwen2");
  write_text(from / "tokenizer_config.json", "{}");
  write_text(from / "chat_template.jinja", "hello");
  write_text(from / "model.safetensors.index.json", "stale");
  fs::remove(from / "model.safetensors.index.json");
  convert(from, folder_ / "to", {.dtype = tarn::bfloat16});
  EXPECT_TRUE(fs::exists(folder_ / "to/chat_template.jinja"));
  EXPECT_TRUE(fs::exists(folder_ / "to/tokenizer.json"));
  auto weights = tarn::load_safetensors((folder_ / "to/model.safetensors").string()).first;
  EXPECT_EQ(weights.at("model.norm.weight").dtype(), tarn::bfloat16);
  EXPECT_EQ(entries(), 2u);
}

// Names, permuted rows and norms of each family, there and back.
TEST_F(Convert, GgufFilesGiveTheSameLogits) {
  for (std::string name : {"llama", "linear", "smollm2", "mistral", "smollm3", "qwen2", "qwen3",
                           "gemma2", "gemma3", "phi3"}) {
    const Json& model = about()[name];
    Json config = model["given"];
    // Such files know no scalar but the size of a head.
    if (name.starts_with("gemma")) config["query_pre_attn_scalar"] = config["head_dim"];
    fs::path from = write(name, config, small_weights(model));
    fs::path gguf = folder_ / (name + ".gguf"), back = folder_ / (name + "-back");
    convert(from, gguf, {});
    convert(gguf, back, {});
    // They call Mistral Llama, without a window: as far as the window goes both are the same.
    int64_t n = name == "mistral" ? 12 : 40;
    auto begun = [&](const fs::path& path) {
      return tarn::slice(logits(path), {0, 0, 0}, {3, n, 96});
    };
    array want = begun(from);
    double largest = double{tarn::max(tarn::abs(want)).item<float>()};
    EXPECT_LT(worst_difference(begun(gguf), want) / largest, 1e-5) << name;
    EXPECT_LT(worst_difference(begun(back), want) / largest, 1e-5) << name;
  }
}

TEST_F(Convert, GgufFilesMadeFromOneAnotherSayTheSameOfText) {
  fs::path from = write("llama");
  write_text(from / "chat_template.jinja", "{{ messages[0].content }}!");
  fs::path one = folder_ / "one.gguf", two = folder_ / "two.gguf", three = folder_ / "three.gguf";
  convert(from, one, {.quantization = tarn::nn::Quantization{.group_size = 32, .bits = 4}});
  convert(one, two, {});
  convert(one, three, {.dequantise = true});
  LanguageModel first = load(one);
  ASSERT_TRUE(first.chat_template);
  Ids ids = first.tokenizer.encode("tarn");
  for (const fs::path& path : {two, three}) {
    LanguageModel again = load(path);
    ASSERT_TRUE(again.chat_template) << path;
    EXPECT_EQ(again.chat_template->source(), "{{ messages[0].content }}!");
    EXPECT_EQ(again.stop_ids, first.stop_ids);
    EXPECT_EQ(again.tokenizer.encode("tarn"), ids);
    Answer got = collect(generate(again, ids, exact(12))),
           want = collect(generate(first, ids, exact(12)));
    EXPECT_EQ(got.ids, want.ids) << path;
    EXPECT_EQ(got.text, want.text) << path;
  }
  auto text_of = [](const fs::path& path) {
    std::set<std::string> keys;
    auto file = tarn::GgufFile::open(path.string());
    for (const auto& [key, value] : file.metadata())
      if (key.starts_with("tokenizer.")) keys.insert(std::string(key));
    return keys;
  };
  EXPECT_GT(text_of(one).size(), 5u);
  EXPECT_EQ(text_of(two), text_of(one));
}

// An adapter that changes its model, in a folder: fresh ones change nothing.
fs::path write_adapter(const LanguageModel& lm, const fs::path& to, uint64_t seed) {
  LoRAConfiguration how{.num_layers = -1, .lora_parameters = {.rank = 2, .scale = 1}};
  LoRAContainer::from(lm, how, seed).save(to);
  std::string file = (to / "adapters.safetensors").string();
  auto [arrays, metadata] = tarn::load_safetensors(file);
  for (auto& [name, a] : arrays)
    if (name.ends_with("lora_b"))
      a = tarn::full(a.shape(), 0.02f * static_cast<float>(seed)), a.eval();
    else
      a = tarn::contiguous(a), a.eval();
  tarn::save_safetensors(file, arrays, metadata);
  return to;
}

TEST_F(Convert, SeveralAdaptersMadeForTheModelAreFoldedIn) {
  fs::path from = write("llama"), to = folder_ / "to";
  LanguageModel lm = load(from);
  fs::path one = write_adapter(lm, folder_ / "one", 1), two = write_adapter(lm, folder_ / "two", 2);
  convert(from, to, {.adapters = {one, two}});
  LoRAContainer::from(one).load(lm);
  LoRAContainer::from(two).load(lm);
  array want = logits_of(lm.model, small_prompts());
  EXPECT_LT(worst_difference(logits(to), want), 2e-4);
  EXPECT_GT(worst_difference(logits(from), want), 2e-2);
}

// Codes, scales and rows as they are where a type of GGUF has them; float16 and a note elsewhere.
TEST_F(Convert, QuantisedGgufFilesGiveTheSameLogits) {
  struct Case {
    const char* name;
    tarn::nn::Quantization how;
    const char* type;
    bool noted;
  };
  fs::path from = write("llama", about()["llama"]["given"], small_weights(about()["llama"]));
  for (const Case& c : {Case{"4", {.group_size = 32, .bits = 4}, "Q4_1", false},
                        {"4of64", {.group_size = 64, .bits = 4}, "Q4_0", false},
                        {"8", {.group_size = 32, .bits = 8}, "F16", true},
                        {"3", {.group_size = 32, .bits = 3}, "F16", true},
                        {"mxfp4", {.mode = "mxfp4"}, "F16", true}}) {
    fs::path folder = folder_ / (std::string("q") + c.name);
    fs::path file = folder_ / (std::string("q") + c.name + ".gguf");
    convert(from, folder, {.quantization = c.how, .dtype = tarn::float16});
    std::vector<std::string> notes;
    convert(folder, file, {.note = [&](const std::string& text) { notes.push_back(text); }});
    auto gguf = tarn::GgufFile::open(file.string());
    EXPECT_STREQ(tarn::name_of(gguf.find_tensor("blk.0.attn_q.weight")->type), c.type) << c.name;
    EXPECT_EQ(notes.size(), c.noted ? 1u : 0u) << c.name;
    for (const auto& note : notes)
      EXPECT_EQ(note.substr(note.find(" of the")),
                " of the matrices fit no quantised type of GGUF to the last bit: they are written "
                "as float16.");
    array want = logits(folder);
    double largest = double{tarn::max(tarn::abs(want)).item<float>()};
    EXPECT_LT(worst_difference(logits(file), want) / largest, c.noted ? 5e-3 : 1e-6) << c.name;
    fs::path again = folder_ / (std::string("again") + c.name);
    convert(file, again, {});
    EXPECT_LT(worst_difference(logits(again), want) / largest, c.noted ? 5e-3 : 1e-6) << c.name;
  }
}

// Types whose codes count from zero come back as they were.
TEST_F(Convert, Q4_0AndQ8_0ComeBackToTheByte) {
  for (int bits : {4, 8}) {
    float zero = bits == 4 ? -8.0f : -128.0f;
    array scales = tarn::astype(tarn::full({6, 2}, 0.125f), tarn::float16);
    array codes =
        tarn::astype(tarn::reshape(tarn::arange(0.0, 6.0 * 2 * bits, tarn::int32), {6, 2 * bits}) *
                         tarn::array(0x01234567),
                     tarn::uint32);
    tarn::GgufQuantised q{codes, scales, scales * tarn::array(zero, tarn::float16), 32, bits};
    ASSERT_EQ(tarn::gguf_type_of(q), bits == 4 ? tarn::GgmlType::q4_0 : tarn::GgmlType::q8_0);
    fs::path file = folder_ / "one.gguf";
    tarn::save_gguf_weights(file.string(), {{"a.weight", q}});
    auto read = tarn::GgufFile::open(file.string()).tensor("a.weight");
    auto& back = std::get<tarn::GgufQuantised>(read);
    EXPECT_TRUE(tarn::array_equal(back.weight, codes).item<bool>()) << bits;
    EXPECT_TRUE(tarn::array_equal(back.scales, scales).item<bool>()) << bits;
    EXPECT_TRUE(tarn::array_equal(back.biases, q.biases).item<bool>()) << bits;
  }
}

TEST_F(Convert, LargeModelsBecomeShardsWithAnIndex) {
  fs::path from = write("llama");
  convert(from, folder_ / "shards", {.shard_bytes = 40'000});
  Json index = tarn::load_json((folder_ / "shards/model.safetensors.index.json").string());
  std::set<std::string> files;
  for (const auto& [name, file] : index["weight_map"].items()) files.insert(file);
  ASSERT_GT(files.size(), 3u);
  EXPECT_EQ(*files.begin(), fmt::format("model-00001-of-{:05}.safetensors", files.size()));
  for (const auto& file : files) EXPECT_LT(fs::file_size(folder_ / "shards" / file), 60'000u);
  EXPECT_FALSE(fs::exists(folder_ / "shards/model.safetensors"));
  EXPECT_EQ(worst_difference(logits(folder_ / "shards"), logits(from)), 0.0);
  convert(folder_ / "shards", folder_ / "one", {});
  EXPECT_FALSE(fs::exists(folder_ / "one/model.safetensors.index.json"));
  EXPECT_EQ(worst_difference(logits(folder_ / "one"), logits(from)), 0.0);
}

TEST_F(Convert, WhatCannotBe) {
  fs::path from = write("llama"), to = folder_ / "to";
  ConvertOptions four{.quantization = tarn::nn::Quantization{.group_size = 32, .bits = 4}};
  EXPECT_EQ(error(folder_ / "none", to, {}), "[convert] FOLDER/none does not exist.");
  EXPECT_EQ(error(from, from, {}),
            "[convert] FOLDER/llama is there already. Give another name or remove it.");
  EXPECT_EQ(error(from, to, {.recipe = "mixed_1_2"}),
            "[convert] recipe \"mixed_1_2\" is not known; mixed_2_6, mixed_3_4, mixed_3_6 and "
            "mixed_4_6 are.");
  ConvertOptions both = four;
  both.recipe = "mixed_2_6";
  EXPECT_EQ(error(from, to, both),
            "[convert] a recipe has its own bits. Give either the recipe or the bits.");
  EXPECT_EQ(error(from, to, {.dtype = tarn::int32}),
            "[convert] dtype is int32; float32, float16 or bfloat16 is needed.");
  EXPECT_EQ(error(write("llama3"), folder_ / "to.gguf", {}),
            "[convert] rope type \"llama3\" is not written to GGUF files; default and linear are.");
  EXPECT_EQ(error(from, to, {.quantization = tarn::nn::Quantization{.mode = "int4"}}),
            "[quantize] mode is \"int4\"; affine, mxfp4, nvfp4 and mxfp8 are known.");
  auto by_group = [](int size, const char* mode) {
    return ConvertOptions{.quantization = tarn::nn::Quantization{.group_size = size, .mode = mode}};
  };
  EXPECT_EQ(error(from, to, by_group(33, "affine")),
            "[quantize] group_size is 33; it must be 32, 64 or 128.");
  EXPECT_EQ(error(from, to, by_group(64, "mxfp4")),
            "[quantize] group_size is 64; mode \"mxfp4\" has groups of 32.");
  EXPECT_EQ(error(from, to, by_group(0, "affine")),
            "[quantize] weight has shape (1, 1): its columns do not make groups of 0.");
  std::stop_source source;
  source.request_stop();
  EXPECT_NE(error(from, to, {.stop = source.get_token()}), "no error");
  EXPECT_EQ(entries(), 2u);  // the two models, nothing else
}

TEST_F(Convert, WhatWouldQuantiseNothingIsRefused) {
  fs::path from = write("llama"), four = folder_ / "four", to = folder_ / "to";
  auto by = [](int bits, int group_size) {
    return tarn::nn::Quantization{.group_size = group_size, .bits = bits};
  };
  EXPECT_EQ(error(from, to, {.quantization = by(4, 128)}),
            "[convert] no matrix of FOLDER/llama has columns in whole groups of 128: nothing would "
            "be quantised. Give a smaller group size (--group), or another mode (--mode).");
  convert(from, four, {.quantization = by(4, 32)});
  for (const ConvertOptions& asked :
       {ConvertOptions{.quantization = by(3, 32)}, ConvertOptions{.recipe = "mixed_3_6"}})
    EXPECT_EQ(error(four, to, asked),
              "[convert] FOLDER/four is quantised already: nothing would be quantised as asked. "
              "Add dequantise (--dequantise) to quantise it anew.");
  EXPECT_EQ(entries(), 2u);
  convert(four, to, {.quantization = by(3, 32), .dequantise = true});
  Json config = tarn::load_json((to / "config.json").string());
  EXPECT_EQ(config["quantization"], (Json{{"group_size", 32}, {"bits", 3}, {"mode", "affine"}}));
}

TEST_F(Convert, MatricesThatAreQuantisedAlreadyAreToldOf) {
  fs::path from = write("llama"), head = folder_ / "head";
  tarn::nn::Quantization four{.group_size = 32, .bits = 4};
  convert(from, head, {.choose = [&](const std::string& path, const tarn::nn::Matrix&) {
            return path == "lm_head" ? std::optional(four) : std::nullopt;
          }});
  std::vector<std::string> notes;
  convert(head, folder_ / "to",
          {.quantization = four, .note = [&](const std::string& text) { notes.push_back(text); }});
  EXPECT_EQ(notes, (std::vector<std::string>{
                       "1 of the matrices were quantised already and stay as they are. With "
                       "dequantise (--dequantise) they are quantised anew."}));
}

}  // namespace
}  // namespace tarn_test
