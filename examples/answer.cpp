// Loads a language model and prints its answer as it comes: answer MODEL
// Needs a model.
#include <iostream>

#include <tarn/error.h>
#include <tarn/lm.h>

using namespace tarn;

int main(int count, char** words) {
  try {
    lm::LanguageModel model = lm::load(count > 1 ? words[1] : lm::default_model_path());
    auto prompt = model.encode_chat({{.role = "user", .content = "Name the capital of France."}});
    for (const lm::Event& event : lm::generate(model, prompt, {.max_tokens = 7, .temperature = 0}))
      std::cout << event.text << std::flush;
    std::cout << "\n";
  } catch (const Error& error) {
    std::cerr << error.message() << "\n";
    return 1;
  }
}

// Output:
//   The capital of France is Paris.
