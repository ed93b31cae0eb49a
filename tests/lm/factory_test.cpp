// From names and directories to containers.
#include "tarn/lm/factory.h"

#include <gtest/gtest.h>

#include "tiny_model.h"

namespace tarn_test {
namespace {

class Factory : public TinyModel {};

TEST_F(Factory, ADirectoryWinsAndMayHaveATokenizerOfItsOwn) {
  fs::path path = write_tiny_model(folder_ / "mine");
  const auto& factory = LLMModelFactory::shared();
  ModelConfiguration here{.id = "org/elsewhere", .directory = path};
  ModelContainer container = factory.load_container(HubClient::shared(), TokenizersLoader{}, here);
  EXPECT_EQ(container.decode(container.prepare("a").tokens), "<|user|>a<end><|assistant|>");
  fs::path asked;
  TokenizersLoader none{[&](const fs::path& model) {
    asked = model;
    return Tokenizer();
  }};
  EXPECT_TRUE(factory.load_container(path, none).encode("").empty());
  EXPECT_EQ(asked, path);
}

TEST_F(Factory, NamesStandForConfigurations) {
  LLMModelFactory factory;
  EXPECT_FALSE(factory.contains("mine"));
  factory.register_configuration("mine", {.id = "org/name", .revision = "v1"});
  EXPECT_TRUE(factory.contains("mine"));
  EXPECT_EQ(factory.configuration("mine").revision, "v1");
  EXPECT_EQ(factory.names(), (std::vector<std::string>{"mine"}));
  const auto& shared = LLMModelFactory::shared();
  EXPECT_EQ(shared.configuration("llama3_2_3B_4bit").id,
            "mlx-community/Llama-3.2-3B-Instruct-4bit");
  EXPECT_EQ(shared.configuration("org/other").id, "org/other");
}

// What the model says is chosen here; the configuration ends its answer by them.
TEST_F(Factory, WhatEndsAnAnswerMayStandInTheConfiguration) {
  fs::path path = write_tiny_model(folder_ / "mine");
  ModelConfiguration here{.directory = path};
  auto said = [&](const ModelConfiguration& configuration, const std::string& text) {
    auto container =
        LLMModelFactory::shared().load_container(HubClient::shared(), {}, configuration);
    GenerateParameters parameters = exact(40);
    parameters.processors = {saying(text)};
    Answer a = collect(container.generate(container.prepare("hi"), parameters));
    return a.text + "|" + a.info.finish_reason;
  };
  EXPECT_EQ(said(here, "abcd"), "abcd|stop");
  here.stop_strings = {"bc"};
  EXPECT_EQ(said(here, "abcd"), "a|stop");
  here.stop_strings = {};
  here.extra_eos_tokens = {"c"};
  EXPECT_EQ(said(here, "abcd"), "ab|stop");
  here.extra_eos_tokens = {"<none>"};
  EXPECT_EQ(error_of([&] { said(here, ""); }),
            "[load] mine: \"<none>\" of extra_eos_tokens is no token of the vocabulary. Texts that "
            "end an answer are stop_strings.");
}

TEST_F(Factory, ASnapshotIsCalledByItsId) {
  fs::path cache = folder_ / "models--org--tiny" / "snapshots" / std::string(40, 'a');
  EXPECT_EQ(load(write_tiny_model(cache)).name, "org/tiny");
  EXPECT_EQ(load(write_tiny_model(folder_ / "mine")).name, "mine");
  LanguageModel lm;
  apply({.id = "org/other"}, lm);
  EXPECT_EQ(lm.name, "org/other");
}

}  // namespace
}  // namespace tarn_test
