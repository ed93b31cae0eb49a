#include "terminal.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <utf8proc.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <ctime>

#include "base/require.h"
#include "base/signals_blocked.h"

namespace tarn::cli {
namespace {

constexpr std::string_view replacement = "\xEF\xBF\xBD";  // U+FFFD

std::string_view environment(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

// One code point at the front of `text`: its value (-1 for a byte that is not UTF-8) and its bytes.
struct CodePoint {
  utf8proc_int32_t value = -1;
  size_t bytes = 1;
};

CodePoint front(std::string_view text) {
  CodePoint point;
  auto bytes = reinterpret_cast<const utf8proc_uint8_t*>(text.data());
  auto length = static_cast<utf8proc_ssize_t>(std::min<size_t>(text.size(), 4));
  utf8proc_ssize_t used = utf8proc_iterate(bytes, length, &point.value);
  if (used > 0) {
    point.bytes = static_cast<size_t>(used);
  } else {
    point.value = -1;
  }
  return point;
}

// Whether `text`, whose front is not a whole character, may become one when more bytes come.
bool may_continue(std::string_view text) {
  auto lead = static_cast<unsigned char>(text[0]);
  size_t wanted = lead >= 0xF0 && lead <= 0xF4 ? 4 : lead >= 0xE0 ? 3 : lead >= 0xC2 ? 2 : 1;
  if (lead > 0xF4 || text.size() >= wanted) return false;
  return std::all_of(text.begin() + 1, text.end(),
                     [](char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; });
}

bool is_direction_override(utf8proc_int32_t c) { return c == 0x202D || c == 0x202E; }

void append_visible(std::string& out, utf8proc_int32_t c, std::string_view bytes) {
  if (c == '\n' || c == '\t') {
    out += bytes;
  } else if (c >= 0 && (c < 0x20 || c == 0x7F)) {
    out += '^';
    out += static_cast<char>(c ^ 0x40);
  } else if (c < 0 || (c >= 0x80 && c < 0xA0) || is_direction_override(c)) {
    out += replacement;
  } else {
    out += bytes;
  }
}

// Calls visit(bytes, width) for each grapheme of `text`, until it returns false.
template <class Visit>
void each_grapheme(std::string_view text, Visit visit) {
  size_t begin = 0, at = 0;
  int width = 0;
  utf8proc_int32_t previous = -1, state = 0;
  while (at < text.size()) {
    CodePoint point = front(text.substr(at));
    utf8proc_int32_t c = point.value < 0 ? 0xFFFD : point.value;
    if (previous >= 0 && utf8proc_grapheme_break_stateful(previous, c, &state)) {
      if (!visit(text.substr(begin, at - begin), std::min(width, 2))) return;
      begin = at;
      width = 0;
    }
    width += utf8proc_charwidth(c);
    previous = c;
    at += point.bytes;
  }
  if (begin < text.size()) visit(text.substr(begin), std::min(width, 2));
}

}  // namespace

Terminal::Terminal(int fd) : fd_(fd), is_terminal_(isatty(fd) == 1) {
  std::string_view term = environment("TERM");
  has_controls_ = is_terminal_ && !term.empty() && term != "dumb";
  has_styles_ = has_controls_ && environment("NO_COLOR").empty();
}

int Terminal::columns() const {
  winsize window{};
  if (is_terminal_ && ioctl(fd_, TIOCGWINSZ, &window) == 0 && window.ws_col > 0) {
    return window.ws_col;
  }
  int columns = 0;
  std::string_view text = environment("COLUMNS");
  std::from_chars(text.data(), text.data() + text.size(), columns);
  return columns > 0 ? columns : 80;
}

std::string Terminal::styled(Style style, std::string_view text) const {
  if (!has_styles_) return std::string(text);
  constexpr std::string_view begin[] = {"\x1b[1m",  "\x1b[2m",  "\x1b[31m",
                                        "\x1b[32m", "\x1b[33m", "\x1b[36m"};
  return std::string(begin[static_cast<size_t>(style)]).append(text).append("\x1b[0m");
}

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    CodePoint point = front(text);
    if (point.value < 0) return false;
    text.remove_prefix(point.bytes);
  }
  return true;
}

int display_width(std::string_view text) {
  int sum = 0;
  each_grapheme(text, [&](std::string_view, int width) {
    sum += width;
    return true;
  });
  return sum;
}

std::string cut_to_width(std::string_view text, int columns) {
  if (display_width(text) <= columns) return std::string(text);
  if (columns <= 0) return "";
  std::string out;
  int used = 0;
  each_grapheme(text, [&](std::string_view bytes, int width) {
    if (used + width > columns - 1) return false;
    out += bytes;
    used += width;
    return true;
  });
  return out + "…";
}

std::string SafeText::feed(std::string_view piece) {
  held_ += piece;
  std::string_view rest = held_;
  std::string out;
  while (!rest.empty()) {
    if (rest[0] == '\r') {
      if (rest.size() == 1) break;
      if (rest[1] == '\n') rest.remove_prefix(1);
    }
    CodePoint point = front(rest);
    if (point.value < 0 && may_continue(rest)) break;
    append_visible(out, point.value, rest.substr(0, point.bytes));
    rest.remove_prefix(point.bytes);
  }
  held_ = std::string(rest);
  return out;
}

std::string SafeText::finish() {
  std::string out;
  if (held_ == "\r") {
    out = "^M";
  } else if (!held_.empty()) {
    out = replacement;
  }
  held_.clear();
  return out;
}

std::string safe_text(std::string_view text) {
  SafeText safe;
  std::string out = safe.feed(text);
  return out + safe.finish();
}

namespace {

// What the signal handler may touch. The pipe is opened once and never closed, so that a handler
// that still runs on another thread when a scope ends writes to nothing else.
int wake_pipe[2] = {-1, -1};
std::atomic<bool> has_scope = false;
std::atomic<bool> was_interrupted = false;
std::atomic<int64_t> last_press_ns = 0;
struct sigaction previous_action;

constexpr char interrupt_byte = 'i', quit_byte = 'q';
constexpr int64_t double_press_ns = 1'000'000'000;

void wake(char byte) {
  [[maybe_unused]] ssize_t written = write(wake_pipe[1], &byte, 1);  // full: woken already
}

void on_interrupt(int) {
  int error = errno;
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  int64_t now_ns = int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
  int64_t last = last_press_ns.exchange(now_ns);
  if (last != 0 && now_ns - last < double_press_ns) {
    constexpr std::string_view reset = "\x1b[0m\n";
    if (isatty(STDERR_FILENO) == 1) {
      [[maybe_unused]] ssize_t written = write(STDERR_FILENO, reset.data(), reset.size());
    }
    _exit(130);
  }
  was_interrupted = true;
  wake(interrupt_byte);
  errno = error;
}

void open_wake_pipe() {
  if (wake_pipe[0] >= 0) return;
  bool is_open = pipe2(wake_pipe, O_CLOEXEC) == 0;
  require<DeviceError>(is_open, "[interrupt] no pipe for Ctrl-C: {}.", std::strerror(errno));
  fcntl(wake_pipe[1], F_SETFL, O_NONBLOCK);
}

}  // namespace

InterruptScope::InterruptScope() {
  require(!has_scope.exchange(true), "[interrupt] another scope is handling Ctrl-C already.");
  open_wake_pipe();
  was_interrupted = false;
  last_press_ns = 0;
  SignalsBlocked blocked;
  watcher_ = std::thread([this] {
    char byte = 0;
    while (byte != quit_byte) {
      if (read(wake_pipe[0], &byte, 1) != 1) continue;
      if (byte == interrupt_byte) source_.request_stop();
    }
  });
  struct sigaction action {};
  action.sa_handler = on_interrupt;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, &previous_action);
}

InterruptScope::~InterruptScope() {
  sigaction(SIGINT, &previous_action, nullptr);
  wake(quit_byte);
  watcher_.join();
  has_scope = false;
}

bool InterruptScope::fired() const { return was_interrupted; }

void ignore_sigpipe() { std::signal(SIGPIPE, SIG_IGN); }

void open_standard_descriptors() {
  for (int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
    if (fcntl(fd, F_GETFD) < 0) open("/dev/null", O_RDWR);  // becomes fd: the lowest that is free
}

void write_all(int fd, std::string_view text, std::string_view what) {
  while (!text.empty()) {
    ssize_t written = write(fd, text.data(), text.size());
    if (written >= 0) {
      text.remove_prefix(static_cast<size_t>(written));
    } else if (errno == EPIPE) {
      throw OutputClosed();
    } else if (errno == EAGAIN) {
      pollfd ready{fd, POLLOUT, 0};
      poll(&ready, 1, -1);
    } else {
      require<FileError>(errno == EINTR, "[write] {}: {}.", what, std::strerror(errno));
    }
  }
}

void say(std::string_view text) { write_all(STDERR_FILENO, text, "standard error"); }
void say_line(std::string_view line) { say(safe_text(line) + "\n"); }

}  // namespace tarn::cli
