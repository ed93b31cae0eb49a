// The small models of tests/golden/make_families.py as folders: weights drawn by the same hash.
#pragma once

#include <fmt/core.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/json.h"
#include "golden.h"
#include "tarn/io.h"
#include "tarn/lm/load.h"
#include "tarn/ops.h"

namespace tarn_test {

namespace fs = std::filesystem;
using tarn::Json;
using NamedArrays = std::unordered_map<std::string, tarn::array>;

inline uint32_t hashed(uint32_t x) {
  x ^= x >> 16, x *= 0x85EBCA6B;
  x ^= x >> 13, x *= 0xC2B2AE35;
  return x ^ (x >> 16);
}
inline uint32_t crc32(const std::string& text) {
  uint32_t crc = ~0u;
  for (unsigned char c : text) {
    crc ^= c;
    for (int i = 0; i < 8; ++i) crc = crc & 1 ? (crc >> 1) ^ 0xEDB88320u : crc >> 1;
  }
  return ~crc;
}

// draw() of make_families.py, with its norms.
inline tarn::array drawn(const std::string& name, const tarn::Shape& shape, bool gemma) {
  int64_t count = 1;
  for (int64_t n : shape) count *= n;
  float factor = shape.size() == 2 ? 0.25f : 0.1f;
  float offset = name.ends_with("norm.weight") && !gemma ? 1.0f : 0.0f;
  std::vector<float> all;
  uint32_t seed = crc32(name);
  for (int64_t i = 0; i < count; ++i) {
    uint32_t bits = hashed(hashed(static_cast<uint32_t>(i)) + seed) >> 8;
    float number = static_cast<float>(bits) / static_cast<float>(1 << 23) - 1.0f;
    all.push_back(number * factor + offset);
  }
  return tarn::array(all.begin(), shape);
}

inline NamedArrays small_weights(const Json& model) {
  NamedArrays weights;
  bool gemma = model["given"]["model_type"].get<std::string>().starts_with("gemma");
  bool tied = model["given"]["tie_word_embeddings"].get<bool>();
  for (const auto& [name, sizes] : model["shapes"].items()) {
    if (tied && name == "lm_head.weight") continue;
    tarn::Shape shape;
    for (const Json& n : sizes) shape.push_back(n.get<int64_t>());
    weights.emplace(name, drawn(name, shape, gemma));
  }
  return weights;
}

inline void write_text(const fs::path& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

// A vocabulary of the characters from '!' on, for models of 96 tokens.
inline std::string small_tokenizer() {
  Json vocabulary;
  for (int i = 0; i < 94; ++i) vocabulary[std::string(1, static_cast<char>('!' + i))] = i;
  return Json{{"added_tokens", Json::array()},
              {"model", {{"type", "BPE"}, {"vocab", vocabulary}, {"merges", Json::array()}}},
              {"decoder", {{"type", "Fuse"}}}}
      .dump();
}

// A folder of its own for each test.
class SmallModels : public testing::Test {
 protected:
  void SetUp() override {
    auto* test = testing::UnitTest::GetInstance()->current_test_info();
    folder_ = fs::temp_directory_path() /
              fmt::format("tarn-{}-{}-{}", test->test_suite_name(), test->name(), getpid());
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  static const Json& about() {
    static const Json json = tarn::load_json(golden("lm/families.json").string());
    return json;
  }
  // Writes the folder `name`; `config` is the model's "given" or "written" keys.
  fs::path write(const std::string& name, const Json& config, const NamedArrays& weights) {
    fs::path to = folder_ / name;
    fs::create_directories(to);
    write_text(to / "config.json", config.dump());
    write_text(to / "tokenizer.json", small_tokenizer());
    tarn::save_safetensors((to / "model.safetensors").string(), weights);
    return to;
  }
  fs::path write(const std::string& name) {
    const Json& model = about()[name];
    return write(name, model["given"], small_weights(model));
  }

  fs::path folder_{};
};

// Three prompts of 40 tokens, as make_families.py draws them.
inline tarn::array small_prompts() {
  std::vector<int32_t> ids;
  for (uint32_t i = 0; i < 120; ++i) ids.push_back(static_cast<int32_t>(hashed(i) % 92 + 4));
  return tarn::array(ids.begin(), tarn::Shape{3, 40}, tarn::int32);
}

inline double worst_difference(const tarn::array& a, const tarn::array& b) {
  EXPECT_EQ(a.shape(), b.shape());
  return double{tarn::max(tarn::abs(a - b)).item<float>()};
}

// Logits of all positions without a cache, in exact mode.
inline tarn::array logits_of(const tarn::lm::Model& model, const tarn::array& ids) {
  tarn::PrecisionScope scope(tarn::Precision::exact);
  tarn::lm::Pass pass;
  pass.last_only = false;
  tarn::array logits = model(ids, pass);
  logits.eval();
  return logits;
}

}  // namespace tarn_test
