// Prints what LineEditor reads, for line_editor_pty_test.py: line_editor_driver [HISTORY-FILE]
#include <cstdio>
#include <string>
#include <vector>

#include "cli/line_editor.h"

namespace {

std::string visible(std::string_view text) {
  std::string out;
  for (char c : text) {
    if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else {
      out += c;
    }
  }
  return out;
}

std::vector<std::string> commands(std::string_view start) {
  std::vector<std::string> found;
  for (const char* name : {"/save", "/system", "/é1", "/è2"}) {
    if (std::string_view(name).starts_with(start)) found.push_back(name);
  }
  return found;
}

}  // namespace

int main(int argc, char** argv) {
  tarn::cli::LineEditor editor({.history = argc > 1 ? argv[1] : "", .complete = commands});
  std::printf("interactive=%d\n", editor.is_interactive());
  std::fflush(stdout);
  while (auto text = editor.read("\x1b[36m>\x1b[0m ")) {
    std::string line = "GOT<" + visible(*text) + ">\n";
    std::fwrite(line.data(), 1, line.size(), stdout);
    std::fflush(stdout);
    editor.remember(*text);
  }
  std::printf("END\n");
}
