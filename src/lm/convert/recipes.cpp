#include <array>
#include <charconv>

#include "base/printable.h"
#include "base/require.h"
#include "lm/convert/convert.h"
#include "tarn/ops.h"

namespace tarn::lm {
namespace {

struct Recipe {
  const char* name;
  int low, high;
};
constexpr std::array<Recipe, 4> recipes{
    {{"mixed_2_6", 2, 6}, {"mixed_3_4", 3, 4}, {"mixed_3_6", 3, 6}, {"mixed_4_6", 4, 6}}};

const Recipe& recipe_of(const std::string& name) {
  for (const Recipe& r : recipes)
    if (name == r.name) return r;
  fail("[convert] recipe \"{}\" is not known; mixed_2_6, mixed_3_4, mixed_3_6 and mixed_4_6 are.",
       printable(name));
}

// The number in "model.layers.12.mlp", 0 where there is none.
int64_t layer_in(const std::string& path) {
  constexpr std::string_view before = "layers.";
  auto at = path.find(before);
  int64_t number = 0;
  if (at != std::string::npos)
    std::from_chars(path.data() + at + before.size(), path.data() + path.size(), number);
  return number;
}

// By a matrix of one group: one without whole groups would be passed over without a word.
void check_way(const nn::Quantization& how) {
  int group = group_of(how);
  nn::Matrix one;
  one.weight = zeros({1, group > 0 ? group : 1});
  nn::quantize(one, how);
}

}  // namespace

nn::Quantization by_recipe(const std::string& recipe, const std::string& path, int64_t layers) {
  const Recipe& r = recipe_of(recipe);
  int64_t layer = layer_in(path), eighth = layers / 8;
  bool chosen = layer < eighth || layer >= 7 * layers / 8 || (layer - eighth) % 3 == 2;
  auto has = [&](const char* part) { return path.find(part) != std::string::npos; };
  bool more = has("lm_head") || (chosen && (has("v_proj") || has("down_proj")));
  return {.group_size = 64, .bits = more ? r.high : r.low};
}

int group_of(const nn::Quantization& how) {
  return how.group_size.value_or(how.mode == "nvfp4" ? 16 : how.mode == "affine" ? 64 : 32);
}

void check(const ConvertOptions& o) {
  if (o.quantization) check_way(*o.quantization);
  if (!o.recipe.empty()) recipe_of(o.recipe);
  require(o.recipe.empty() || !o.quantization,
          "[convert] a recipe has its own bits. Give either the recipe or the bits.");
  require(!o.dtype || *o.dtype == float32 || *o.dtype == float16 || *o.dtype == bfloat16,
          "[convert] dtype is {}; float32, float16 or bfloat16 is needed.",
          o.dtype ? name_of(*o.dtype) : "");
}

}  // namespace tarn::lm
