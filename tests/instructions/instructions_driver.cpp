// What instructions_test.py counts: instructions_driver SCENARIO MODEL. Only what happens inside of
// measured() counts, after everything is warm.
#include <cstdio>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "tarn/lm.h"
#include "tarn/tarn.h"

// Its name is what callgrind is told to look for.
extern "C" [[gnu::noinline]] void measured(const std::function<void()>& work) { work(); }

namespace {

using namespace tarn;

// Scans cannot join each other in one loop.
array chain(const array& start, int length) {
  array x = start;
  for (int i = 0; i < length; ++i) x = cumsum(x, 0, i % 2 == 1);
  return x;
}

void record(const std::string&) {
  array start = ones({64}, float32);
  chain(start, 1000);
  measured([&] { chain(start, 1000); });
}

void replay(const std::string&) {
  array start = ones({64}, float32);
  for (int i = 0; i < 3; ++i) eval(chain(start, 100));
  array ready = chain(start, 100);
  measured([&] { eval(ready); });
}

void one_op(const std::string&) {
  array a = ones({64}, float32), b = ones({64}, float32);
  auto work = [&] {
    for (int i = 0; i < 100; ++i) eval(a + b);
  };
  work();
  measured(work);
}

// Words that no cache of words has seen, with digits, accents and another script among them.
std::string text(size_t words) {
  static constexpr const char* kSyllables[]{"ta", "rn", "lo", "gi", "é", "ß",
                                            "12", "ме", "水", ".",  "'", "ing"};
  uint64_t state = 1;
  std::string result;
  for (size_t i = 0; i < words; ++i) {
    for (int k = 0; k < 4; ++k) {
      state = state * 6364136223846793005u + 1442695040888963407u;
      result += kSyllables[(state >> 33) % std::size(kSyllables)];
    }
    result += i % 12 == 11 ? '\n' : ' ';
  }
  return result;
}

void tokenize(const std::string& file) {
  lm::LanguageModel model = lm::load(file);
  std::string warm = text(10), whole = text(2000);
  model.tokenizer.encode(warm);
  measured([&] { model.tokenizer.encode(whole); });
}

std::vector<lm::Message> conversation() {
  std::vector<lm::Message> messages{{.role = "system", .content = "Answer in one line."}};
  for (int i = 0; i < 20; ++i) {
    messages.push_back({.role = "user", .content = text(20)});
    messages.push_back({.role = "assistant", .content = text(20)});
  }
  return messages;
}

void render(const std::string& file) {
  lm::LanguageModel model = lm::load(file);
  auto messages = conversation();
  model.render(messages);
  measured([&] { model.render(messages); });
}

// On this thread: an answer's own steps run ahead of it on another.
void decode(const std::string& file) {
  lm::LanguageModel model = lm::load(file);
  auto ids = model.tokenizer.encode("Once upon a time");
  lm::Pass pass = model.model.new_pass();
  auto step = [&] {
    array row(ids.begin(), Shape{1, static_cast<int64_t>(ids.size())}, int32);
    ids = {static_cast<int32_t>(argmax(model.model(row, pass)).item<uint32_t>())};
  };
  for (int i = 0; i < 4; ++i) step();
  measured([&] {
    for (int i = 0; i < 4; ++i) step();
  });
}

}  // namespace

int main(int count, char** words) {
  const std::map<std::string, void (*)(const std::string&)> scenarios{
      {"record", record},     {"replay", replay}, {"one_op", one_op},
      {"tokenize", tokenize}, {"render", render}, {"decode", decode}};
  auto found = count == 3 ? scenarios.find(words[1]) : scenarios.end();
  if (found == scenarios.end()) {
    std::fprintf(stderr, "usage: instructions_driver SCENARIO MODEL\n");
    return 2;
  }
  found->second(words[2]);
}
