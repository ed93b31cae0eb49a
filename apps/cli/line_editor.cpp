#include "line_editor.h"

#include <histedit.h>
#include <langinfo.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <clocale>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <cwchar>
#include <memory>

#include "base/require.h"
#include "terminal.h"

namespace tarn::cli {
namespace {

constexpr std::string_view block_quotes = "\"\"\"";
constexpr size_t max_line_bytes = 16 << 20;
constexpr size_t max_paste_chars = 1 << 20;
constexpr std::wstring_view paste_end = L"\x1b[201~";

// A terminal that knows bracketed paste marks pasted text, so its newlines do not submit.
constexpr std::string_view paste_marks_on = "\x1b[?2004h", paste_marks_off = "\x1b[?2004l";

bool is_block_quotes(std::string_view line) {
  size_t begin = line.find_first_not_of(" \t");
  size_t end = line.find_last_not_of(" \t");
  return begin != std::string_view::npos && line.substr(begin, end + 1 - begin) == block_quotes;
}

bool ends_with_one_backslash(std::string_view line) {
  size_t kept = line.find_last_not_of('\\');
  size_t count = line.size() - (kept == std::string_view::npos ? 0 : kept + 1);
  return count % 2 == 1;
}

// Newlines as \n, no control characters but tabs, nothing after the last visible line.
std::wstring tidy_paste(std::wstring_view raw) {
  std::wstring text;
  for (size_t i = 0; i < raw.size(); ++i) {
    wchar_t c = raw[i];
    if (c == L'\r') {
      if (i + 1 == raw.size() || raw[i + 1] != L'\n') text += L'\n';
    } else if (c == L'\n' || c == L'\t' || (c >= 0x20 && (c < 0x7F || c >= 0xA0))) {
      text += c;
    }
  }
  while (!text.empty() && text.back() == L'\n') text.pop_back();
  return text;
}

std::string to_utf8(std::wstring_view text) {
  std::string out;
  std::mbstate_t state{};
  char bytes[16];
  for (wchar_t c : text) {
    size_t n = std::wcrtomb(bytes, c, &state);
    if (n != static_cast<size_t>(-1)) out.append(bytes, n);
  }
  return out;
}

std::string common_start(const std::vector<std::string>& texts) {
  std::string start = texts.front();
  for (const std::string& text : texts) {
    size_t n = 0;
    while (n < start.size() && n < text.size() && start[n] == text[n]) ++n;
    start.resize(n);
  }
  while (!start.empty() && (static_cast<unsigned char>(start.back()) & 0xC0) == 0x80) {
    start.pop_back();  // a character of which only the first bytes agree
  }
  return start;
}

void use_utf8() {
  std::setlocale(LC_CTYPE, "");
  if (std::string_view(nl_langinfo(CODESET)) != "UTF-8") std::setlocale(LC_CTYPE, "C.UTF-8");
}

}  // namespace

bool InputLines::add(std::string_view line) {
  if (is_block_quotes(line) && (in_block_ || !has_line_)) {
    in_block_ = !in_block_;
    return !in_block_;
  }
  if (has_line_) text_ += '\n';
  has_line_ = true;
  bool goes_on = !in_block_ && ends_with_one_backslash(line);
  if (goes_on) line.remove_suffix(1);
  text_ += line;
  return !in_block_ && !goes_on;
}

std::string InputLines::take() {
  std::string text = std::move(text_);
  *this = InputLines();
  return text;
}

// Where lines come from: a terminal with libedit, or anything else.
class LineEditor::Source {
 public:
  enum class Kind { line, dropped, end };
  struct Line {
    Kind kind = Kind::end;
    std::string text{};
  };
  virtual ~Source() = default;
  virtual Line next(std::string_view prompt) = 0;
  virtual void remember(const std::string&) {}
  virtual bool is_interactive() const { return false; }
};

class LineEditor::Plain : public Source {
 public:
  // `prompter` is the terminal to prompt on, or -1: a terminal that cannot move its cursor.
  explicit Plain(int prompter) : prompter_(prompter) {}
  bool is_interactive() const override { return prompter_ >= 0; }

  Line next(std::string_view prompt) override {
    if (prompter_ >= 0) write_all(prompter_, prompt, "the terminal");
    size_t end;
    while ((end = buffer_.find('\n', searched_)) == std::string::npos) {
      searched_ = buffer_.size();
      require(buffer_.size() <= max_line_bytes,
              "[input] a line of standard input is longer than {} MiB; give a file instead.",
              max_line_bytes >> 20);
      if (!fill()) break;
    }
    if (buffer_.empty()) return {};
    Line line{Kind::line, buffer_.substr(0, end)};
    buffer_.erase(0, end == std::string::npos ? end : end + 1);
    searched_ = 0;
    if (!line.text.empty() && line.text.back() == '\r') line.text.pop_back();
    return line;
  }

 private:
  bool fill() {
    char block[1 << 16];
    for (;;) {
      ssize_t got = ::read(STDIN_FILENO, block, sizeof block);
      if (got >= 0) {
        buffer_.append(block, static_cast<size_t>(got));
        return got > 0;
      }
      if (errno == EAGAIN) {
        pollfd ready{STDIN_FILENO, POLLIN, 0};
        poll(&ready, 1, -1);
      } else {
        require<FileError>(errno == EINTR, "[input] standard input: {}.", std::strerror(errno));
      }
    }
  }

  int prompter_;
  std::string buffer_{};
  size_t searched_ = 0;  // buffer_ has no newline before this
};

class LineEditor::Editor : public Source {
 public:
  Editor(FILE* output, LineEditorOptions options)
      : output_(output),
        complete_(std::move(options.complete)),
        edit_(el_init("tarn", stdin, output, stderr)),
        history_(history_init()) {
    require<DeviceError>(edit_ && history_, "[input] the line editor could not start.");
    HistEvent event;
    history(history_.get(), &event, H_SETSIZE, static_cast<int>(History::max_entries));
    EditLine* e = edit_.get();
    el_set(e, EL_CLIENTDATA, this);
    el_set(e, EL_HIST, history, history_.get());
    el_set(e, EL_SIGNAL, 1);
    el_set(e, EL_PROMPT_ESC, &prompt_of, '\1');
    el_set(e, EL_EDITOR, "emacs");
    bind_keys();
    el_source(e, nullptr);
  }

  bool is_interactive() const override { return true; }

  Line next(std::string_view prompt) override {
    prompt_ = mark_escapes(prompt);
    dropped_ = false;
    int count = 0;
    // libedit would prompt first and take the terminal over with the first key; until then ^C would
    // end the process.
    auto before = std::signal(SIGINT, SIG_IGN);
    el_set(edit_.get(), EL_PREP_TERM, 1);
    // ^C comes as a key, and a pasted CR LF can be told from two newlines. libedit forgets it when
    // it takes over changed settings, so it is said each time.
    el_set(edit_.get(), EL_SETTY, "-d", "intr=", "-icrnl", "-inlcr", nullptr);
    write_all(fileno(output_), paste_marks_on, "the terminal");
    const char* text = el_gets(edit_.get(), &count);
    bool is_interrupted = !text && count < 0 && errno == EINTR;  // SIGINT from elsewhere
    std::signal(SIGINT, before);
    write_all(fileno(output_), paste_marks_off, "the terminal");
    if (dropped_ || is_interrupted) return {Kind::dropped, {}};
    if (!text || count <= 0) {
      write_all(fileno(output_), "\n", "the terminal");
      return {};
    }
    std::string_view line(text, static_cast<size_t>(count));
    if (line.back() == '\n') line.remove_suffix(1);
    return {Kind::line, std::string(line)};
  }

  void remember(const std::string& text) override {
    HistEvent event;
    history(history_.get(), &event, H_ENTER, text.c_str());
  }

 private:
  static Editor& self(EditLine* e) {
    void* data = nullptr;
    el_get(e, EL_CLIENTDATA, &data);
    return *static_cast<Editor*>(data);
  }

  static char* prompt_of(EditLine* e) { return self(e).prompt_.data(); }

  // libedit takes what stands between two \1 as having no width.
  static std::string mark_escapes(std::string_view prompt) {
    std::string out;
    for (size_t i = 0; i < prompt.size(); ++i) {
      if (prompt[i] != '\x1b') {
        out += prompt[i];
        continue;
      }
      size_t end = std::min(prompt.find('m', i), prompt.size() - 1);
      out.append("\1").append(prompt.substr(i, end + 1 - i)).append("\1");
      i = end;
    }
    return out;
  }

  void bind_keys() {
    EditLine* e = edit_.get();
    // The narrow el_set would copy these names and never free them.
    el_wset(e, EL_ADDFN, L"tarn-drop", L"Drop the line", &guarded<on_drop>);
    el_wset(e, EL_ADDFN, L"tarn-paste", L"Insert pasted text", &guarded<on_paste>);
    el_wset(e, EL_ADDFN, L"tarn-newline", L"Insert a newline", &guarded<on_newline>);
    el_wset(e, EL_ADDFN, L"tarn-complete", L"Complete", &guarded<on_complete>);
    constexpr const char* keys[][2] = {
        {"^C", "tarn-drop"},          {"\\e[200~", "tarn-paste"},
        {"\\e^M", "tarn-newline"},  // Alt-Enter
        {"\\e^J", "tarn-newline"},    {"^I", "tarn-complete"},
        {"^R", "em-inc-search-prev"}, {"^W", "ed-delete-prev-word"},
        {"^U", "vi-kill-line-prev"},  {"\\e[H", "ed-move-to-beg"},
        {"\\eOH", "ed-move-to-beg"},  {"\\e[1~", "ed-move-to-beg"},
        {"\\e[F", "ed-move-to-end"},  {"\\eOF", "ed-move-to-end"},
        {"\\e[4~", "ed-move-to-end"}, {"\\e[3~", "ed-delete-next-char"},
        {"\\e[1;5C", "em-next-word"}, {"\\e[1;5D", "ed-prev-word"},
    };
    for (auto& [key, command] : keys) el_set(e, EL_BIND, key, command, nullptr);
  }

  // No exception may pass through libedit, which is C.
  template <auto on_key>
  static unsigned char guarded(EditLine* e, int) {
    try {
      return on_key(e);
    } catch (...) {
      return CC_ERROR;
    }
  }

  // The line is left standing with ^C behind it, as shells do.
  static unsigned char on_drop(EditLine* e) {
    self(e).dropped_ = true;
    el_cursor(e, static_cast<int>(el_line(e)->lastchar - el_line(e)->cursor));
    el_winsertstr(e, L"^C");
    el_wpush(e, L"\n");
    return CC_REFRESH;
  }

  static unsigned char on_newline(EditLine* e) {
    return el_winsertstr(e, L"\n") == 0 ? CC_REFRESH : CC_ERROR;
  }

  static unsigned char on_paste(EditLine* e) {
    std::wstring text;
    bool is_too_long = false;
    wchar_t c = 0;
    while (!std::wstring_view(text).ends_with(paste_end)) {
      if (el_wgetc(e, &c) != 1) return CC_EOF;
      if (text.size() > max_paste_chars + paste_end.size()) {
        is_too_long = true;
        text.erase(0, text.size() - paste_end.size());
      }
      text += c;
    }
    if (is_too_long) {
      std::string why = "\n[input] the pasted text is longer than 1 Mi characters; use a file.\n";
      write_all(fileno(self(e).output_), why, "the terminal");
      return CC_REDISPLAY;
    }
    text.resize(text.size() - paste_end.size());
    text = tidy_paste(text);
    return text.empty() || el_winsertstr(e, text.c_str()) == 0 ? CC_REFRESH : CC_ERROR;
  }

  static unsigned char on_complete(EditLine* e) {
    Editor& editor = self(e);
    const LineInfoW* line = el_wline(e);
    std::string before = to_utf8({line->buffer, static_cast<size_t>(line->cursor - line->buffer)});
    std::vector<std::string> found;
    if (editor.complete_) found = editor.complete_(before);
    std::erase_if(found, [&](const std::string& s) { return !s.starts_with(before); });
    if (found.empty()) return CC_REFRESH_BEEP;
    std::string start = common_start(found);
    if (start.size() > before.size()) {
      return el_insertstr(e, start.c_str() + before.size()) == 0 ? CC_REFRESH : CC_ERROR;
    }
    if (found.size() == 1) return CC_REFRESH;
    std::string list = "\n";
    for (const std::string& text : found) list += safe_text(text) + "\n";
    write_all(fileno(editor.output_), list, "the terminal");
    return CC_REDISPLAY;
  }

  struct Ends {
    void operator()(EditLine* e) const { el_end(e); }
    void operator()(::History* h) const { history_end(h); }
  };

  FILE* output_;
  std::function<std::vector<std::string>(std::string_view)> complete_;
  std::unique_ptr<EditLine, Ends> edit_;
  std::unique_ptr<::History, Ends> history_;
  std::string prompt_{};
  bool dropped_ = false;
};

LineEditor::LineEditor(LineEditorOptions options)
    : history_(isatty(STDIN_FILENO) ? options.history : std::filesystem::path()) {
  use_utf8();
  FILE* output = isatty(STDOUT_FILENO) ? stdout : stderr;
  Terminal terminal(fileno(output));
  if (isatty(STDIN_FILENO) && terminal.has_controls()) {
    source_ = std::make_unique<Editor>(output, std::move(options));
  } else {
    bool prompts = isatty(STDIN_FILENO) && terminal.is_terminal();
    source_ = std::make_unique<Plain>(prompts ? terminal.fd() : -1);
  }
  for (const std::string& entry : history_.entries()) source_->remember(entry);
}

LineEditor::~LineEditor() = default;

bool LineEditor::is_interactive() const { return source_->is_interactive(); }

std::optional<std::string> LineEditor::read(std::string_view prompt) {
  InputLines lines;
  bool has_part = false;
  for (;;) {
    Source::Line line = source_->next(has_part ? "... " : prompt);
    if (line.kind == Source::Kind::dropped) {
      lines.take();
      has_part = false;
    } else if (line.kind == Source::Kind::end) {
      if (!has_part) return std::nullopt;
      return lines.take();
    } else {
      if (lines.add(line.text)) return lines.take();
      has_part = true;
    }
  }
}

void LineEditor::remember(std::string_view text) {
  if (history_.add(text)) source_->remember(history_.entries().back());
}

}  // namespace tarn::cli
