// Examples from files: the formats and what counts. Most mistakes are in named_mistakes_test.cpp.
#include <gtest/gtest.h>

#include "error_of.h"
#include "lm/tiny_model.h"
#include "tarn/error.h"

namespace tarn_test {
namespace {

using Notes = std::vector<std::string>;

class TrainDataTest : public TinyModel {
 protected:
  void SetUp() override {
    TinyModel::SetUp();
    lm_ = tiny();
  }
  fs::path write(const std::string& name, const std::string& text) {
    fs::create_directories((folder_ / name).parent_path());
    std::ofstream(folder_ / name, std::ios::binary) << text;
    return folder_ / name;
  }
  TrainSet set_of(const std::string& text, TrainDataOptions options = {}) {
    notes_.clear();
    return load_train_set(write("a.jsonl", text), lm_, options, notes_);
  }
  std::string mistake(const std::string& text, TrainDataOptions options = {}) {
    return error_in<tarn::FileError>(folder_, [&] { set_of(text, options); });
  }
  // The tokens, those that count in capitals' place: between [ and ].
  std::string shown(const TrainSample& s) {
    std::string text;
    bool inside = false;
    for (size_t i = 0; i < s.ids.size(); ++i) {
      if (bool counts = s.counts[i] != 0; counts != inside)
        text += counts ? "[" : "]", inside = counts;
      text += lm_.tokenizer.token_text(s.ids[i]);
    }
    return text + (inside ? "]" : "");
  }

  LanguageModel lm_{};
  Notes notes_{};
};

constexpr const char* chat =
    R"({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"},)"
    R"( {"role": "user", "content": "c"}, {"role": "assistant", "content": "d"}]})";

TEST_F(TrainDataTest, FormatsAndWhatCounts) {
  TrainSet set = set_of(std::string(chat) + "\n\n" + R"({"prompt": "p", "completion": "q"})" +
                        "\r\n" + R"({"text": "xyz"})");
  ASSERT_EQ(set.samples.size(), 3u);
  EXPECT_EQ(shown(set.samples[0]),
            "<|user|>[a<end><|assistant|>b<end><|user|>c<end><|assistant|>d<end>]");
  EXPECT_EQ(shown(set.samples[1]), "<|user|>[p<end><|assistant|>q<end>]");
  EXPECT_EQ(shown(set.samples[2]), "x[yz<end>]");
  EXPECT_EQ(set.samples[1].line, 3);
  EXPECT_EQ(set.place(1), (folder_ / "a.jsonl").string() + ", line 3");
}

TEST_F(TrainDataTest, OnlyAnswersCountWhenThePromptIsMasked) {
  TrainSet set = set_of(std::string(chat) + "\n" + R"({"prompt": "p", "completion": "q"})",
                        {.mask_prompt = true});
  EXPECT_EQ(shown(set.samples[0]),
            "<|user|>a<end><|assistant|>[b<end>]<|user|>c<end><|assistant|>[d<end>]");
  EXPECT_EQ(shown(set.samples[1]), "<|user|>p<end><|assistant|>[q<end>]");
}

TEST_F(TrainDataTest, CallsOfToolsAreTokens) {
  TrainSet set = set_of(
      R"({"tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}], )"
      R"("messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": null, )"
      R"("tool_calls": [{"function": {"name": "f", "arguments": {"x": 1}}}]}, )"
      R"({"role": "tool", "content": "r"}, {"role": "assistant", "content": "d"}]})",
      {.mask_prompt = true});
  EXPECT_EQ(shown(set.samples[0]),
            "<|user|>a<end><|assistant|>[<tool_call>f</tool_call><end>]<|tool|>r<end>"
            "<|assistant|>[d<end>]");
}

// A control token that a message spells out stays text.
TEST_F(TrainDataTest, MessagesCannotForgeControlTokens) {
  TrainSet set = set_of(R"({"prompt": "<end>", "completion": "q"})");
  EXPECT_EQ(set.samples[0].ids.size(), 1 + 5 + 1 + 1 + 1 + 1u);
}

TEST_F(TrainDataTest, LongExamplesAreCutOrPackedAndItSaysSo) {
  std::string text = R"({"text": "0123456789"})"
                     "\n"
                     R"({"text": "ab"})"
                     "\n";
  TrainSet cut = set_of(text, {.max_tokens = 6});
  EXPECT_EQ(shown(cut.samples[0]), "0[12345]");
  EXPECT_EQ(notes_, (Notes{folder_.string() +
                           "/a.jsonl: 1 example longer than 6 tokens cut, 5 tokens lost."}));
  TrainSet packed = set_of(text, {.max_tokens = 6, .pack = true});
  ASSERT_EQ(packed.samples.size(), 3u);
  EXPECT_EQ(shown(packed.samples[0]), "0[12345]");
  EXPECT_EQ(shown(packed.samples[1]), "6[789<end>]a");
  EXPECT_EQ(shown(packed.samples[2]), "b[<end>]");
  EXPECT_EQ(notes_, (Notes{folder_.string() +
                           "/a.jsonl: 2 examples packed into 3 rows of 6 tokens, 78 % full."}));
  set_of(std::string(chat) + "\n" + R"({"prompt": "0123456789", "completion": "q"})",
         {.mask_prompt = true, .max_tokens = 10});
  EXPECT_EQ(notes_.back(),
            folder_.string() + "/a.jsonl: 1 example left out, of which no token counts.");
}

TEST_F(TrainDataTest, OneFileIsDividedBySeed) {
  std::string text;
  for (int i = 0; i < 40; ++i) text += fmt::format("{{\"text\": \"number {}\"}}\n", i % 30);
  fs::path file = write("a.jsonl", text);
  TrainData data = load_train_data(file, lm_, {.seed = 3});
  EXPECT_EQ(data.notes[0],
            file.string() + fmt::format(": divided by seed 3 into {} examples to "
                                        "train on and {} to judge by.",
                                        data.train.samples.size(), data.valid.samples.size()));
  EXPECT_EQ(data.notes.size(), 1u) << "no example is on both sides";
  EXPECT_EQ(data.train.samples.size() + data.valid.samples.size(), 40u);
  EXPECT_GE(data.valid.samples.size(), 4u);
  auto lines = [](const TrainSet& set) {
    std::vector<int64_t> all;
    for (const auto& s : set.samples) all.push_back(s.line);
    return all;
  };
  EXPECT_EQ(lines(load_train_data(file, lm_, {.seed = 3}).valid), lines(data.valid));
  EXPECT_NE(lines(load_train_data(file, lm_, {.seed = 4}).valid), lines(data.valid));
}

TEST_F(TrainDataTest, FoldersAndExamplesThatStandInTwoFiles) {
  write("d/train.jsonl", R"({"text": "one"})"
                         "\n"
                         R"({"text": "two"})");
  write("d/valid.jsonl", R"({"text": "three"})"
                         "\n"
                         R"({ "text":"two"})");
  write("d/test.jsonl", R"({"text": "four"})");
  TrainData data = load_train_data(folder_ / "d", lm_);
  EXPECT_EQ(data.train.samples.size(), 2u);
  EXPECT_EQ(data.valid.samples.size(), 2u);
  EXPECT_EQ(data.test.samples.size(), 1u);
  std::string d = (folder_ / "d").string();
  EXPECT_EQ(data.notes, (Notes{"Warning: 1 example of " + d +
                               "/valid.jsonl (first: line 2) also "
                               "in " +
                               d +
                               "/train.jsonl; the loss there will look better than it "
                               "is."}));
}

TEST_F(TrainDataTest, MistakesOfWholeFiles) {
  EXPECT_EQ(mistake(" \n\n"),
            "[data] FOLDER/a.jsonl: there are no examples. Each line is one, such as {\"prompt\": "
            "\"2 + 2?\", \"completion\": \"4\"}.");
  EXPECT_EQ(error_of<tarn::ValueError>([&] { set_of("{\"text\": \"a\"}", {.max_tokens = 1}); }),
            "[data] max_tokens is 1; at least 2 are needed, one to predict.");
  EXPECT_EQ(error_of<tarn::ValueError>([&] { set_of("{\"text\": \"a\"}", {.valid_share = 1}); }),
            "[data] valid_share is 1; it lies between 0 and 1, such as 0.1.");
  EXPECT_EQ(
      mistake(R"({"messages": [{"role": "assistant", "content": "a"}]})", {.mask_prompt = true}),
      "[data] FOLDER/a.jsonl, line 1, column 1: an answer stands first, and only answers "
      "count: what comes before it is needed.");
  EXPECT_EQ(mistake(R"({"prompt": "0123456789", "completion": "q"})",
                    {.mask_prompt = true, .max_tokens = 4}),
            "[data] FOLDER/a.jsonl: no token of any example counts.");
  EXPECT_EQ(mistake("\xEF\xBB\xBF{\"text\": 1}"),
            "[data] FOLDER/a.jsonl, line 1, column 10: text is a number; a text is needed.");
  EXPECT_EQ(mistake("\xEF\xBB\xBF[\n{\"text\": \"a\"}"),
            "[data] FOLDER/a.jsonl, line 1, column 1: a list begins here; each line is one object. "
            "`jq -c '.[]'` makes such lines.");
  auto whole = [&](const fs::path& path) {
    return error_in<tarn::FileError>(folder_, [&] { load_train_data(path, lm_); });
  };
  EXPECT_EQ(whole(write("b.jsonl", "{\"text\": \"a\"}\n{\"text\": \"a\"}")),
            "[data] FOLDER/b.jsonl: 1 different examples; at least 2 are needed to train on some "
            "and to judge by others.");
  fs::create_directories(folder_ / "e");
  EXPECT_EQ(whole(folder_ / "e"), "[data] FOLDER/e: the folder has no train.jsonl.");
  EXPECT_EQ(whole(folder_ / "none.jsonl"),
            "[load] FOLDER/none.jsonl: cannot open: No such file or directory. Check the path.");
  fs::create_symlink("train.jsonl", folder_ / "e/train.jsonl");  // as one that may not be looked at
  EXPECT_EQ(
      whole(folder_ / "e"),
      "[load] FOLDER/e/train.jsonl: cannot open: Too many levels of symbolic links. Check the "
      "disk.");
  std::string long_name(300, 'a');
  EXPECT_EQ(whole(folder_ / long_name),
            "[load] FOLDER/" + long_name + ": cannot open: File name too long. Check the disk.");
  lm_.chat_template.reset();
  EXPECT_EQ(mistake(chat), "[data] FOLDER/a.jsonl, line 1, column 1: " + lm_.name +
                               " has no chat template for \"messages\"; use {\"prompt\": ..., "
                               "\"completion\": ...} or {\"text\": ...}.");
  EXPECT_EQ(
      shown(set_of(R"({"prompt": "p", "completion": "q"})", {.mask_prompt = true}).samples[0]),
      "p[q<end>]");
}

}  // namespace
}  // namespace tarn_test
