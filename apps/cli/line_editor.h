// Reading what the user types: line editing, history, several lines at once, pasting, pipes.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tarn::cli {

// Puts typed lines together to one input. A line that ends with a backslash goes on with the next;
// a line of three double quotes begins a block that the next such line ends. Two backslashes at
// the end of a line are just that.
class InputLines {
 public:
  // Takes a line, which may be several pasted ones; true when the input is whole.
  bool add(std::string_view line);
  // The input so far, and a fresh start.
  std::string take();

 private:
  std::string text_;
  bool in_block_ = false;
  bool has_line_ = false;
};

// $TARN_HISTORY, else $XDG_STATE_HOME/tarn/history, else ~/.local/state/tarn/history. Empty, which
// means no history file, when TARN_HISTORY is set to nothing or there is no home folder.
std::filesystem::path history_file();

// Past inputs, oldest first, in a file that only its owner may read. Several programs may append
// to it at once. What cannot be read or written is as if it were empty: history is a convenience.
class History {
 public:
  static constexpr size_t max_entries = 1000;
  static constexpr size_t max_entry_bytes = 64 * 1024;

  explicit History(std::filesystem::path file);

  const std::vector<std::string>& entries() const { return entries_; }
  // Blank texts, repeats of the last one, texts over max_entry_bytes and what is not UTF-8 are not
  // kept.
  bool add(std::string_view text);

 private:
  void load();
  void rewrite() const;

  std::filesystem::path file_;
  std::vector<std::string> entries_{};
};

struct LineEditorOptions {
  // Where the history is kept. Empty, or standard input not a terminal: for this session only.
  std::filesystem::path history{};
  // Inputs that begin with the text before the cursor, for Tab.
  std::function<std::vector<std::string>(std::string_view)> complete{};
};

// Edits lines when standard input is a terminal; otherwise reads them as they come, with no prompt.
// Make it before other threads start: it sets the process's character set to UTF-8.
class LineEditor {
 public:
  explicit LineEditor(LineEditorOptions options = {});
  ~LineEditor();
  LineEditor(const LineEditor&) = delete;
  LineEditor& operator=(const LineEditor&) = delete;

  // The next input; nothing at its end (Ctrl-D on an empty line). Ctrl-C drops what was typed and
  // asks again. `prompt` may hold escape sequences.
  std::optional<std::string> read(std::string_view prompt);
  // Makes `text` the newest entry of the history.
  void remember(std::string_view text);
  bool is_interactive() const;

 private:
  class Source;
  class Editor;
  class Plain;
  History history_;
  std::unique_ptr<Source> source_;
};

}  // namespace tarn::cli
