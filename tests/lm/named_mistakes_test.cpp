// The mistakes that people make with data, options and adapters: each has a name and its whole
// message, which says what was given and what is needed.
//   lm_test --gtest_filter='NamedMistakes.*'    counts and checks them
#include <set>

#include "adapters.h"
#include "lm/tiny_model.h"

namespace tarn_test {
namespace {

const std::string q0 = "model.layers.0.self_attn.q_proj", q2 = "model.layers.2.self_attn.q_proj";
const std::string peft = "base_model.model.";

class NamedMistakes : public Adapters {
 public:
  std::string error_of_line(const std::string& text) {
    if (!tiny_) tiny_ = load(write_tiny_model(folder_ / "tiny"));
    std::ofstream(folder_ / "a.jsonl", std::ios::binary) << text;
    std::vector<std::string> notes;
    return error_in<tarn::FileError>(
        folder_, [&] { load_train_set(folder_ / "a.jsonl", *tiny_, {}, notes); });
  }
  // Of reading a damaged copy and loading it; the model must be as before.
  std::string error_of_adapter(const std::string& name, const auto& damage) {
    auto copy = copy_of(name);
    damage(copy);
    LanguageModel lm = base_for("mlx_keys");
    auto ids = ids_of(lm);
    std::string text = error_here([&] { LoRAContainer::from(copy).load(lm); });
    EXPECT_EQ(ids_of(lm), ids);
    EXPECT_TRUE(lm.adapters.empty());
    return text;
  }
  using Adapters::edit_json;
  using Adapters::edit_tensors;

 private:
  std::optional<LanguageModel> tiny_{};
};

struct NamedMistake {
  std::string name{};
  std::function<std::string(NamedMistakes&)> make{};
  std::string message{};
};

NamedMistake data(const std::string& name, const std::string& text, const std::string& message) {
  return {"data: " + name, [=](NamedMistakes& m) { return m.error_of_line(text); },
          "[data] FOLDER/a.jsonl, " + message};
}
NamedMistake option(const std::string& name, void (*change)(TrainOptions&),
                    const std::string& message) {
  auto make = [=](NamedMistakes&) {
    TrainOptions o;
    change(o);
    return error_of<tarn::ValueError>([&] { check(o); });
  };
  return {"option: " + name, make, "[train] " + message};
}
NamedMistake adapter_json(const std::string& name, const std::string& of, void (*edit)(Json&),
                          const std::string& message) {
  auto make = [=](NamedMistakes& m) {
    return m.error_of_adapter(of, [&](const fs::path& copy) { m.edit_json(copy, edit); });
  };
  return {"adapter: " + name, make, "[adapters] FOLDER/adapter" + message};
}
NamedMistake adapter_tensors(const std::string& name, const std::string& of,
                             void (*edit)(NamedArrays&), const std::string& message) {
  auto make = [=](NamedMistakes& m) {
    return m.error_of_adapter(of, [&](const fs::path& copy) { m.edit_tensors(copy, edit); });
  };
  return {"adapter: " + name, make, "[adapters] FOLDER/adapter does not fit the model: " + message};
}

std::vector<NamedMistake> of_data() {
  return {
      data("syntax error", "{\"text\": \"a\"}\n{\"text\": }",
           "line 2, column 10: syntax error while parsing value - unexpected '}'; expected '[', "
           "'{', "
           "or "
           "a literal. Each line is one JSON object."),
      data("key twice", "{\"text\": \"a\", \"text\": \"b\"}",
           "line 1, column 20: the key \"text\" stands twice in one object. Each line is one JSON "
           "object."),
      data("not utf8", "{\"text\": \"\xff\"}",
           "line 1, column 11: the bytes are not UTF-8. Save the file in that encoding."),
      data(
          "list over lines", "[\n{\"text\": \"a\"}\n]",
          "line 1, column 1: a list begins here; each line is one object. `jq -c '.[]'` makes such "
          "lines. (2 lines have mistakes.)"),
      data("line is a list", "[1]",
           "line 1, column 1: the line is a list; an object such as {\"messages\": [...]} is "
           "needed."),
      data("line is a number", "3",
           "line 1, column 1: the line is a number; an object such as {\"messages\": [...]} is "
           "needed."),
      data("no keys", "{}",
           "line 1, column 1: the line has no keys; \"messages\", \"prompt\" and "
           "\"completion\", or \"text\" is needed."),
      data("unknown keys", R"({"question": "a", "answer": "b"})",
           "line 1, column 1: the line has \"question\", \"answer\"; \"messages\", \"prompt\" and "
           "\"completion\", or \"text\" is needed."),
      data("text is a number", R"({"text": 3})",
           "line 1, column 10: text is a number; a text is needed."),
      data("text is blank", R"({"text": " \n "})",
           "line 1, column 10: text is empty. Take the line out, or write what belongs there."),
      data("no completion", R"({"prompt": "a"})",
           "line 1, column 1: the line has no \"completion\"; a text is needed."),
      data("no prompt", R"({"completion": "a"})",
           "line 1, column 1: the line has no \"prompt\"; a text is needed."),
      data("empty completion", R"({"prompt": "a", "completion": ""})",
           "line 1, column 31: completion is empty. Take the line out, or write what belongs "
           "there."),
      data("prompt is a list", R"({"prompt": ["a"], "completion": "b"})",
           "line 1, column 12: prompt is a list; a text is needed."),
      data("messages are a text", R"({"messages": "a"})",
           "line 1, column 14: messages is a text; a list of {\"role\": ..., \"content\": ...} is "
           "needed."),
      data("no messages", R"({"messages": []})",
           "line 1, column 14: messages is empty; a list of {\"role\": ..., \"content\": ...} is "
           "needed."),
      data("message is a text", R"({"messages": ["a"]})",
           "line 1, column 15: messages[0] is a text; an object {\"role\": ..., \"content\": ...} "
           "is "
           "needed."),
      data("no role", R"({"messages": [{"content": "a"}]})",
           "line 1, column 15: messages[0] has no \"role\"; one of system, user, assistant and "
           "tool is "
           "needed."),
      data("unknown role", R"({"messages": [{"role": "bot", "content": "a"}]})",
           "line 1, column 24: messages[0].role is \"bot\"; one of system, user, assistant and "
           "tool is "
           "needed."),
      data("role is a number", R"({"messages": [{"role": 1, "content": "a"}]})",
           "line 1, column 24: messages[0].role is a number; one of system, user, assistant and "
           "tool "
           "is needed."),
      data("no content", R"({"messages": [{"role": "user"}]})",
           "line 1, column 15: messages[0] has no \"content\"; its text is needed."),
      data("content is an object", R"({"messages": [{"role": "user", "content": {"a": 1}}]})",
           "line 1, column 43: messages[0].content is an object; a text is needed."),
      data("no answer", R"({"messages": [{"role": "user", "content": "a"}]})",
           "line 1, column 14: messages has no assistant turn: there is no answer to learn. Add "
           "one, "
           "or "
           "use {\"text\": ...}."),
      data(
          "empty answer",
          R"({"messages": [{"role": "user", "content": "a"}, )"
          R"({"role": "assistant", "content": ""}]})",
          "line 1, column 82: messages[1].content is empty; there is nothing to learn from such an "
          "answer. Take the line out."),
      data(
          "picture in a message",
          R"({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]})",
          "line 1, column 53: messages[0].content[0].type is \"image_url\"; only parts of the type "
          "\"text\" can be trained on."),
      data("call without function",
           R"({"messages": [{"role": "assistant", "tool_calls": [{"name": "f"}]}]})",
           "line 1, column 52: messages[0].tool_calls[0] has no \"function\"; {\"name\": ..., "
           "\"arguments\": ...} is needed."),
      data("arguments are no object",
           R"({"messages": [{"role": "assistant", "tool_calls": [{"function": {"name": "f", )"
           R"("arguments": "x"}}]}]})",
           "line 1, column 92: messages[0].tool_calls[0].function.arguments is not the text of a "
           "JSON "
           "object; {\"city\": \"Rome\"} would be one."),
      data("no calls", R"({"messages": [{"role": "assistant", "tool_calls": []}]})",
           "line 1, column 51: messages[0].tool_calls is empty; a list of calls is needed."),
      data("tools are an object",
           R"({"messages": [{"role": "assistant", "content": "a"}], "tools": {}})",
           "line 1, column 64: tools is an object; a list of tools is needed."),
      data("tool without function",
           R"({"messages": [{"role": "assistant", "content": "a"}], "tools": [{"name": "f"}]})",
           "line 1, column 65: tools[0] has no \"function\"; {\"name\": ..., \"parameters\": ...} "
           "is "
           "needed."),
  };
}

std::vector<NamedMistake> of_options() {
  return {
      option(
          "unknown optimizer", [](TrainOptions& o) { o.optimizer = "adamx"; },
          "optimizer is \"adamx\"; there are adam, adamw, sgd, muon, adafactor, lion."),
      option(
          "unknown schedule", [](TrainOptions& o) { o.schedule = "step"; },
          "schedule is \"step\"; there are constant, cosine, linear, exponential."),
      option(
          "learning rate of 0", [](TrainOptions& o) { o.learning_rate = 0; },
          "learning_rate is 0; it must be positive, such as 2e-3 for adapters."),
      option(
          "weight decay of 1", [](TrainOptions& o) { o.weight_decay = 1; },
          "weight_decay is 1; it lies in [0, 1)."),
      option(
          "end share of 2", [](TrainOptions& o) { o.end_share = 2; },
          "end_share is 2; it lies in [0, 1]."),
      option(
          "exponential to 0", [](TrainOptions& o) { o.schedule = "exponential", o.end_share = 0; },
          "end_share is 0; an exponential schedule ends above it."),
      option(
          "negative clip", [](TrainOptions& o) { o.clip = -1; },
          "clip is -1; it must not be negative."),
      option(
          "no epochs", [](TrainOptions& o) { o.steps = 0, o.epochs = 0; },
          "epochs is 0; it must be positive, or steps given."),
      option(
          "negative steps", [](TrainOptions& o) { o.steps = -1; },
          "steps is -1; it must be at least 0."),
      option(
          "batch of 0", [](TrainOptions& o) { o.batch_size = 0; },
          "batch_size is 0; it must be at least 1."),
      option(
          "accumulate 0", [](TrainOptions& o) { o.accumulate = 0; },
          "accumulate is 0; it must be at least 1."),
      option(
          "no tokens at once", [](TrainOptions& o) { o.tokens_at_once = 0; },
          "tokens_at_once is 0; it must be at least 1."),
      option(
          "negative patience", [](TrainOptions& o) { o.patience = -1; },
          "patience is -1; it must be at least 0."),
  };
}

std::vector<NamedMistake> of_adapters() {
  return {
      adapter_json(
          "unknown kind", "mlx_keys", [](Json& c) { c["fine_tune_type"] = "lokr"; },
          "/adapter_config.json: `fine_tune_type` is \"lokr\", \"lora\", \"dora\" or "
          "\"full\" is needed."),
      adapter_json(
          "no layers", "mlx_keys", [](Json& c) { c.erase("num_layers"); },
          "/adapter_config.json: `num_layers` is missing, a whole number from -1 to "
          "1000000 is needed."),
      adapter_json(
          "half a layer", "mlx_keys", [](Json& c) { c["num_layers"] = 1.5; },
          "/adapter_config.json: `num_layers` is 1.5, a whole number from -1 to 1000000 "
          "is needed."),
      adapter_json(
          "no parameters", "mlx_keys", [](Json& c) { c.erase("lora_parameters"); },
          "/adapter_config.json: `lora_parameters` is missing, an object is needed."),
      adapter_json(
          "parameters are a number", "mlx_keys", [](Json& c) { c["lora_parameters"] = 3; },
          "/adapter_config.json: `lora_parameters` is 3, an object is needed."),
      adapter_json(
          "rank of 0", "mlx_keys", [](Json& c) { c["lora_parameters"]["rank"] = 0; },
          "/adapter_config.json: `lora_parameters.rank` is 0, a whole number from 1 to "
          "1000000 is needed."),
      adapter_json(
          "no scale", "mlx_keys", [](Json& c) { c["lora_parameters"].erase("scale"); },
          "/adapter_config.json: `lora_parameters.scale` is missing, a number is needed."),
      adapter_json(
          "dropout of 1", "mlx_keys", [](Json& c) { c["lora_parameters"]["dropout"] = 1; },
          "/adapter_config.json: `lora_parameters.dropout` is 1, a number in [0, 1) is "
          "needed."),
      adapter_json(
          "keys are a text", "mlx_keys", [](Json& c) { c["lora_parameters"]["keys"] = "q_proj"; },
          "/adapter_config.json: `lora_parameters.keys` is \"q_proj\", a list of texts "
          "is needed."),
      adapter_json(
          "unknown key", "mlx_keys",
          [](Json& c) { c["lora_parameters"]["keys"].push_back("self_attn.qq_proj"); },
          " does not fit the model: `lora_parameters.keys` has \"self_attn.qq_proj\", "
          "which no matrix of the last 1 layers is called."),
      adapter_json(
          "peft of another kind", "peft_lora", [](Json& c) { c["peft_type"] = "LOHA"; },
          "/adapter_config.json: `peft_type` is \"LOHA\", \"LORA\" is needed."),
      adapter_json(
          "negative rank", "peft_lora", [](Json& c) { c["r"] = -4; },
          "/adapter_config.json: `r` is -4, a whole number from 1 to 1000000 is needed."),
      adapter_json(
          "alpha is a text", "peft_lora", [](Json& c) { c["lora_alpha"] = "16"; },
          "/adapter_config.json: `lora_alpha` is \"16\", a number is needed."),
      adapter_json(
          "trained bias", "peft_lora", [](Json& c) { c["bias"] = "all"; },
          "/adapter_config.json: `bias` is \"all\", \"none\" is needed."),
      adapter_json(
          "fan in fan out", "peft_lora", [](Json& c) { c["fan_in_fan_out"] = true; },
          "/adapter_config.json: `fan_in_fan_out` is true, false is needed."),
      adapter_json(
          "start that changes the base", "peft_lora",
          [](Json& c) { c["init_lora_weights"] = "pissa_niter_4"; },
          "/adapter_config.json: `init_lora_weights` is \"pissa_niter_4\", a start that "
          "leaves the base as it was is needed."),
      adapter_json(
          "trained tokens", "peft_lora", [](Json& c) { c["trainable_token_indices"] = {1}; },
          "/adapter_config.json: `trainable_token_indices` is [1], nothing is needed."),
      adapter_json(
          "rslora is a number", "peft_lora", [](Json& c) { c["use_rslora"] = 1; },
          "/adapter_config.json: `use_rslora` is 1, true or false is needed."),
      adapter_json(
          "pattern with rank 0", "peft_lora",
          [](Json& c) {
            c["rank_pattern"] = {{"q_proj", 0}};
          },
          "/adapter_config.json: `rank_pattern.q_proj` is 0, a whole number from 1 to "
          "1000000 is needed."),
      adapter_json(
          "layers are texts", "peft_lora", [](Json& c) { c["layers_to_transform"] = {"0"}; },
          "/adapter_config.json: `layers_to_transform` is [\"0\"], a layer or a list of "
          "layers is needed."),
      adapter_json(
          "layer that is not there", "peft_layers",
          [](Json& c) {
            c["layers_to_transform"] = {0, 2, 7};
          },
          " does not fit the model: `layers_to_transform` has layer 7, the model has 3."),
      adapter_json(
          "saved module that is not there", "peft_layers",
          [](Json& c) { c["modules_to_save"].push_back("score"); },
          " does not fit the model: `modules_to_save` has \"score\", and no tensor is of "
          "it."),
      adapter_tensors(
          "missing tensor", "mlx_keys", [](NamedArrays& t) { t.erase(q2 + ".lora_b"); },
          q2 + ".lora_b is missing: shape (2, 32) is needed."),
      adapter_tensors(
          "tensor of an unnamed matrix", "mlx_keys",
          [](NamedArrays& t) {
            t.emplace(q0 + ".lora_a", tarn::zeros({32, 2}));
          },
          q0 + ".lora_a is of a matrix that the configuration does not name."),
      adapter_tensors(
          "tensor of a missing layer", "mlx_keys",
          [](NamedArrays& t) {
            t.emplace("model.layers.9.q.lora_a", tarn::zeros({32, 2}));
          },
          "model.layers.9.q.lora_a belongs to nothing in the model."),
      adapter_tensors(
          "stray tensor", "mlx_keys", [](NamedArrays& t) { t.emplace("stray", tarn::zeros({2})); },
          "stray belongs to nothing in the model."),
      adapter_tensors(
          "transposed tensor", "mlx_keys",
          [](NamedArrays& t) { t.at(q2 + ".lora_a") = tarn::transpose(t.at(q2 + ".lora_a")); },
          q2 + ".lora_a is transposed: it has shape (2, 32), (32, 2) is needed."),
      adapter_tensors(
          "other shape", "mlx_keys",
          [](NamedArrays& t) {
            t.at(q2 + ".lora_a") = tarn::zeros({64, 2});
          },
          q2 + ".lora_a has shape (64, 2), (32, 2) is needed."),
      adapter_tensors(
          "whole numbers", "mlx_keys",
          [](NamedArrays& t) {
            t.at(q2 + ".lora_a") = tarn::zeros({32, 2}, tarn::int32);
          },
          q2 + ".lora_a is of int32, floating-point numbers are needed. " + q2 +
              ".lora_a is missing: shape (32, 2) is needed."),
      adapter_tensors(
          "missing tensor of peft", "peft_lora",
          [](NamedArrays& t) { t.erase(peft + q0 + ".lora_A.weight"); },
          peft + q0 + ".lora_A.weight is missing: shape (4, 32) is needed."),
      adapter_tensors(
          "transposed tensor of peft", "peft_lora",
          [](NamedArrays& t) {
            t.at(peft + q0 + ".lora_B.weight") =
                tarn::transpose(t.at(peft + q0 + ".lora_B.weight"));
          },
          peft + q0 + ".lora_B.weight is transposed: it has shape (4, 32), (32, 4) is needed."),
      adapter_tensors(
          "missing norm", "mlx_full",
          [](NamedArrays& t) { t.erase("model.layers.2.input_layernorm.weight"); },
          "model.layers.2.input_layernorm.weight is missing."),
      adapter_tensors(
          "whole matrix transposed", "mlx_full",
          [](NamedArrays& t) {
            t.at("model.layers.2.mlp.up_proj.weight") = tarn::zeros({32, 64});
          },
          "model.layers.2.mlp.up_proj.weight has shape (32, 64), (64, 32) is needed."),
  };
}

TEST_F(NamedMistakes, SayWhatWasGivenAndWhatIsNeeded) {
  std::vector<NamedMistake> all = of_data();
  for (const auto& more : {of_options(), of_adapters()})
    all.insert(all.end(), more.begin(), more.end());
  std::set<std::string> names, messages;
  for (const NamedMistake& m : all) {
    EXPECT_TRUE(names.insert(m.name).second) << m.name;
    EXPECT_TRUE(messages.insert(m.message).second) << m.message;
    EXPECT_EQ(m.make(*this), m.message) << m.name;
  }
  EXPECT_GE(all.size(), 60u);
  std::cout << all.size() << " named mistakes\n";
}

}  // namespace
}  // namespace tarn_test
