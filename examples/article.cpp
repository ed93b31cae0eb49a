// A program that ships a model of its own choice: article MODEL
// Needs a model.
#include <iostream>

#include <tarn/error.h>
#include <tarn/lm.h>

using namespace tarn::lm;

int main(int count, char** words) {
  try {
    // Without a directory the model is downloaded once and found in the cache from then on.
    auto container = LLMModelFactory::shared().load_container(
        HubClient::shared(), TokenizersLoader{},
        {.id = "mlx-community/Llama-3.2-3B-Instruct-4bit", .directory = count > 1 ? words[1] : ""});

    ChatSession session{container};
    session.options().parameters = {.max_tokens = 32, .temperature = 0};
    std::cout << session.respond("What is the capital of France?") << "\n";

    // For a user interface: the answer as it comes.
    auto input = container.prepare(UserInput{"Name the capital of Italy."});
    for (auto& event : container.generate(input, GenerateParameters{.temperature = 0})) {
      if (event.kind == Event::Kind::chunk) std::cout << event.text << std::flush;
      if (event.kind == Event::Kind::info)
        std::cout << "\n" << event.info.generated_tokens << " tokens\n";
    }
  } catch (const tarn::Error& error) {
    std::cerr << error.message() << "\n";
    return 1;
  }
}

// Output:
//   The capital of France is Paris.
//   The capital of Italy is Rome.
//   7 tokens
