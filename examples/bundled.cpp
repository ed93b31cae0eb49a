// An app that brings its weights along: they lie in a folder beside the program. A directory wins
// over everything else, so no cache is looked at and no network is used.
// Needs a model beside it.
#include <filesystem>
#include <iostream>

#include <tarn/lm.h>

using namespace tarn::lm;

int main() {
  std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe");
  ModelConfiguration model{.id = "org/tiny", .directory = program.parent_path() / "model"};
  Availability now = HubClient::shared().availability(model);
  if (now.state != Availability::State::available) {
    std::cerr << now.message << "\n";
    return 1;
  }
  LanguageModel lm = load(now.path);
  std::cout << model.name() << ": " << lm.model.shape().layers << " layers, "
            << lm.model.shape().vocabulary << " tokens\n";
}

// Output:
//   model: 2 layers, 16 tokens
