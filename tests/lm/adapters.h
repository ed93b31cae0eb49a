// The small adapters of tests/golden/make_adapters.py and the models that they were made for.
#pragma once

#include <set>
#include <string>
#include <utility>
#include <vector>

#include "answers.h"
#include "small_models.h"
#include "tarn/lm.h"
#include "tarn/nn/quantize.h"

namespace tarn_test {

using tarn::array;
using tarn::Shape;

class Adapters : public SmallModels {
 protected:
  static const Json& models() {
    static const Json json = tarn::load_json(golden("lm/adapters/about.json").string());
    return json;
  }
  static fs::path adapter(const std::string& name) { return golden("lm/adapters") / name; }
  LanguageModel base(const std::string& name) {
    const Json& model = models()[name];
    return load(write(name, model["given"], small_weights(model)));
  }
  // The model that an adapter was made for.
  LanguageModel base_for(const std::string& adapter) {
    LanguageModel lm = base(models()["cases"][adapter].get<std::string>());
    if (adapter.find("quantised") != std::string::npos)
      lm.model.matrices([](const std::string& path, tarn::nn::Matrix& m) {
        if (path.ends_with("_proj")) tarn::nn::quantize(m, {.group_size = 32, .bits = 8});
      });
    return lm;
  }
  static array logits(const LanguageModel& lm) { return logits_of(lm.model, small_prompts()); }

  // A copy of an adapter, to be damaged.
  fs::path copy_of(const std::string& name) {
    fs::path to = folder_ / "adapter";
    fs::remove_all(to);
    fs::copy(adapter(name), to, fs::copy_options::recursive);
    return to;
  }
  static fs::path tensors_of(const fs::path& adapter) {
    auto mlx = adapter / "adapters.safetensors";
    return fs::exists(mlx) ? mlx : adapter / "adapter_model.safetensors";
  }
  // Changes the configuration or the tensors of a copy.
  template <class F>
  static void edit_json(const fs::path& adapter, const F& f) {
    auto file = (adapter / "adapter_config.json").string();
    Json json = tarn::load_json(file);
    f(json);
    write_text(file, json.dump());
  }
  template <class F>
  static void edit_tensors(const fs::path& adapter, const F& f) {
    auto [tensors, metadata] = tarn::load_safetensors(tensors_of(adapter).string());
    for (auto& [name, a] : tensors) a = tarn::copy(a);
    std::vector<array> all;
    for (auto& [name, a] : tensors) all.push_back(a);
    tarn::eval(all);
    f(tensors);
    tarn::save_safetensors(tensors_of(adapter).string(), tensors, metadata);
  }
  std::string error_here(const auto& f) { return error_in(folder_, f); }
};

inline std::vector<std::uintptr_t> ids_of(const LanguageModel& lm) {
  std::vector<std::uintptr_t> ids;
  Model copy = lm.model;
  copy.parameters([&](const std::string&, array& a) { ids.push_back(a.id()); });
  return ids;
}

}  // namespace tarn_test
