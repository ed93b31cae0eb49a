// The parts of the hub client that need no network. What happens over one is in tests/hub.
#include "tarn/lm/hub.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "lm/hub/digest.h"
#include "lm/hub/names.h"
#include "tarn/lm/hub_cache.h"
#include "tarn/lm/model_registry.h"

namespace tarn_test {
namespace {

using namespace tarn::lm;
using namespace tarn::lm::hub;
namespace fs = std::filesystem;

template <class Work>
std::string error_of(const Work& work) {
  try {
    work();
  } catch (const std::exception& error) {
    return error.what();
  }
  return "";
}

TEST(HubNames, APatternMeansNamesOfItsFolder) {
  for (auto [pattern, name] :
       {std::pair{"*.json", "config.json"}, std::pair{"*.json", ".json"},
        std::pair{"model*.safetensors", "model-00001-of-2.safetensors"},
        std::pair{"*Q4*", "a-Q4_K.gguf"}, std::pair{"a?c", "abc"},
        std::pair{"sub/*.gguf", "sub/x.gguf"}, std::pair{"*a*b*c", "xaxbxbc"}, std::pair{"", ""}})
    EXPECT_TRUE(matches(pattern, name)) << pattern << " " << name;
  for (auto [pattern, name] :
       {std::pair{"*.json", "sub/config.json"}, std::pair{"*", "a/b"}, std::pair{"a?c", "a/c"},
        std::pair{"a?", "a"}, std::pair{"*.json", "config.json5"},
        std::pair{"config.json", "Config.json"}, std::pair{"", "a"}})
    EXPECT_FALSE(matches(pattern, name)) << pattern << " " << name;
}

TEST(HubNames, APatternOfManyStarsEndsSoon) {
  std::string pattern, name(500, 'a');
  for (int i = 0; i < 200; ++i) pattern += "a*";
  EXPECT_FALSE(matches(pattern + "b", name));
}

TEST(HubNames, AnIdAndItsFolder) {
  for (const char* id : {"org/name", "gpt2", "a/b.c_d-e", "A1/x"}) {
    EXPECT_NO_THROW(check_id(id));
    EXPECT_EQ(id_of_folder(folder_of_id(id)), id);
  }
  EXPECT_EQ(folder_of_id("org/name"), "models--org--name");
  for (const char* folder : {"datasets--org--name", "models--", "models--a--..", "models--a/b--c"})
    EXPECT_EQ(id_of_folder(folder), std::nullopt) << folder;
}

TEST(HubNames, WhatCannotStandBesideEachOther) {
  using Pair = std::optional<std::pair<std::string, std::string>>;
  EXPECT_EQ(colliding_names({"a", "b/a", "b/c"}), std::nullopt);
  EXPECT_EQ(colliding_names({"Readme", "README"}), Pair({"Readme", "README"}));
  EXPECT_EQ(colliding_names({"ﬁle", "file"}), Pair({"ﬁle", "file"}));
  EXPECT_EQ(colliding_names({"a/b", "a"}), Pair({"a", "a/b"}));
  EXPECT_EQ(colliding_names({"x/Y/z", "X/y"}), Pair({"X/y", "x/Y/z"}));
}

TEST(HubNames, TextForAnAddress) {
  EXPECT_EQ(url_escaped("a b/ü?#%", true), "a%20b/%C3%BC%3F%23%25");
  EXPECT_EQ(url_escaped("refs/pr/1", false), "refs%2Fpr%2F1");
  EXPECT_EQ(bytes_text(0), "0 bytes");
  EXPECT_EQ(bytes_text(999'600), "1.0 MB");
  EXPECT_EQ(bytes_text(123'456'789'000), "123 GB");
}

TEST(HubDigest, GitAndSha256) {
  HubFile git{"a", 6, "", std::string(40, '0')};
  Digest of_git(git);
  of_git.add("hel");
  of_git.add("lo\n");
  EXPECT_EQ(of_git.hex(), "ce013625030ba8dba906f756967f9e9ca394464a");  // as git hash-object says
  HubFile lfs{"a", 3, std::string(64, '0'), ""};
  Digest of_lfs(lfs);
  of_lfs.add("abc");  // the example of FIPS 180-4
  EXPECT_EQ(of_lfs.hex(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(ModelConfigurationParse, ItsParts) {
  ModelConfiguration m = ModelConfiguration::parse("org/name");
  EXPECT_EQ(m, (ModelConfiguration{.id = "org/name"}));
  EXPECT_EQ(m.name(), "name");
  m = ModelConfiguration::parse("org/name/sub/x.gguf@v1");
  EXPECT_EQ(m, (ModelConfiguration{.id = "org/name", .revision = "v1", .file = "sub/x.gguf"}));
  m = ModelConfiguration::parse(fs::temp_directory_path().string());
  EXPECT_EQ(m.directory, fs::temp_directory_path());
  EXPECT_TRUE(m.id.empty());
  EXPECT_EQ(error_of([] { ModelConfiguration::parse(std::string_view("a/b\0c", 5)); }),
            "[hub] \"a/b\\x00c\" is not the id of a model. Needed is `organisation/name`: letters, "
            "digits and -._ inside, at most 96 characters.");
}

TEST(Registry, RefusesToWriteWhatIsNotPinned) {
  ModelRegistry registry;
  registry.add("x", ModelConfiguration{.id = "org/x"});
  EXPECT_EQ(error_of([&] { registry.write("/nonexistent/tarn.lock"); }),
            "[registry] x is not pinned: it has no commit and files. Pin it with HubClient::pin.");
  registry.add("x", ModelConfiguration{.directory = "/tmp"});
  EXPECT_EQ(error_of([&] { registry.write("/nonexistent/tarn.lock"); }),
            "[registry] x is not pinned: it has no id. Pin it with HubClient::pin.");
}

TEST(Registry, ComesBackAsItWasWritten) {
  fs::path file = fs::path(testing::TempDir()) / "registry_test.lock";
  ModelConfiguration model{.id = "org/x", .revision = "v1", .file = "x.gguf"};
  model.commit = std::string(40, 'a');
  model.files = {{"x.gguf", 5, std::string(64, 'b'), ""}, {"y", 7, "", std::string(40, 'c')}};
  model.extra_eos_tokens = {"<|im_end|>"};
  model.stop_strings = {"\n\n", "User:"};
  ModelRegistry registry;
  registry.add("mine", model);
  registry.write(file);
  ModelRegistry back = ModelRegistry::read(file);
  fs::remove(file);
  EXPECT_THAT(back.names(), testing::ElementsAre("mine"));
  EXPECT_EQ(back.configuration("mine"), model);
  EXPECT_EQ(back.find("other"), nullptr);
  EXPECT_EQ(back.configuration("org/y").id, "org/y");
}

TEST(HubCache, WhatIsNoneIsEmpty) {
  EXPECT_TRUE(list_cache("/nonexistent").empty());
  EXPECT_EQ(error_of([] { find_cached("/nonexistent", "org/x"); }),
            "[hub] org/x is not in the cache /nonexistent. `tarn ls` lists what is.");
}

TEST(HubErrors, SayWhetherTryingAgainHelps) {
  for (HubReason r : {HubReason::network, HubReason::server, HubReason::content, HubReason::disk,
                      HubReason::busy})
    EXPECT_TRUE(HubError(r, "").can_retry());
  for (HubReason r : {HubReason::bad_name, HubReason::not_found, HubReason::not_allowed,
                      HubReason::not_downloaded, HubReason::offline})
    EXPECT_FALSE(HubError(r, "").can_retry());
}

}  // namespace
}  // namespace tarn_test
