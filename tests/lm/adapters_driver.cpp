// What tests/golden/make_adapters.py asks of Tarn: adapters in the other form.
//
//     adapters_driver convert FROM TO mlx|peft
#include <cstdio>
#include <string>
#include <vector>

#include "tarn/lm/adapters.h"

int main(int count, char** given) {
  std::vector<std::string> words(given + 1, given + count);
  if (words.size() != 4 || words[0] != "convert") {
    std::fputs("usage: adapters_driver convert FROM TO mlx|peft\n", stderr);
    return 2;
  }
  try {
    using namespace tarn::lm;
    auto form = words[3] == "peft" ? AdapterForm::peft : AdapterForm::mlx;
    LoRAContainer::from(words[1]).save(words[2], form);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  return 0;
}
