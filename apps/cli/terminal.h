// The terminal: what it can show, text made safe for it, and Ctrl-C as a stop token.
#pragma once

#include <stop_token>
#include <string>
#include <string_view>
#include <thread>

namespace tarn::cli {

enum class Style { bold, dim, red, green, yellow, cyan };

// One output of the process, asked once what it is. NO_COLOR (https://no-color.org) and TERM=dumb
// turn styles off; a file or a pipe never has them.
class Terminal {
 public:
  explicit Terminal(int fd);

  int fd() const { return fd_; }
  bool is_terminal() const { return is_terminal_; }
  // Understands cursor and erase sequences: a terminal whose TERM is neither unset nor dumb.
  bool has_controls() const { return has_controls_; }
  bool has_styles() const { return has_styles_; }
  // Width now: the window's, else COLUMNS, else 80.
  int columns() const;
  // `text` between the style's escape sequences, or as it is where there are no styles.
  std::string styled(Style style, std::string_view text) const;

 private:
  int fd_;
  bool is_terminal_;
  bool has_controls_;
  bool has_styles_;
};

bool is_utf8(std::string_view text);

// Columns that valid UTF-8 text without control characters takes: 2 for wide characters and emoji
// sequences, 0 for marks.
int display_width(std::string_view text);

// The longest start of `text` that fits in `columns`, ending in "…" where something was cut.
std::string cut_to_width(std::string_view text, int columns);

// Makes text from a model, a file or another person safe to write to a terminal, piece by piece as
// it arrives. Tabs and newlines pass; every other control character becomes visible (ESC as ^[,
// C1 controls and direction overrides as U+FFFD), as does each byte that is not UTF-8. A character
// or a CR LF that is split between pieces is held back until it is whole.
class SafeText {
 public:
  std::string feed(std::string_view piece);
  // What was held back, at the end of the text.
  std::string finish();

 private:
  std::string held_;
};

// The whole of `text` made safe at once.
std::string safe_text(std::string_view text);

// While it lives, Ctrl-C requests a stop instead of ending the process; a second Ctrl-C within one
// second ends it with status 130. One at a time.
class InterruptScope {
 public:
  InterruptScope();
  ~InterruptScope();
  InterruptScope(const InterruptScope&) = delete;
  InterruptScope& operator=(const InterruptScope&) = delete;

  std::stop_token token() const { return source_.get_token(); }
  // Whether Ctrl-C came since the scope began.
  bool fired() const;

 private:
  std::stop_source source_{};
  std::thread watcher_{};
};

// The reader of an output went away (`tarn … | head`). main ends quietly with `status`.
struct OutputClosed {
  static constexpr int status = 141;  // what a shell reports for SIGPIPE
};

// Gives /dev/null to those of 0 to 2 that are closed, which other files would take: first in
// main().
void open_standard_descriptors();

// From here on a closed pipe is an error of the write, not the end of the process.
void ignore_sigpipe();

// Writes all of `text`. Throws OutputClosed when nobody reads any more, and FileError naming `what`
// when it cannot be written (a full disk).
void write_all(int fd, std::string_view text, std::string_view what);
// To standard error: text that is safe to write, and a line from wherever, made safe.
void say(std::string_view text);
void say_line(std::string_view line);

}  // namespace tarn::cli
