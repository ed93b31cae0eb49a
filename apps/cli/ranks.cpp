#include "ranks.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <map>
#include <optional>

#include "base/json.h"
#include "base/printable.h"
#include "base/require.h"
#include "descriptor.h"
#include "tarn/io.h"
#include "terminal.h"

namespace tarn::cli {
namespace {

using Clock = std::chrono::steady_clock;
constexpr auto grace = std::chrono::seconds(3);

void check(bool ok, const char* what) {
  require<DeviceError>(ok, "[launch] {} failed: {}.", what, std::strerror(errno));
}

// What the processes of a ring find each other by, while they run.
class Ring {
 public:
  explicit Ring(int count) {
    Json hosts = Json::array();
    for (int r = 0; r < count; ++r) {
      listeners_.emplace_back(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
      sockaddr_in at{};
      at.sin_family = AF_INET;
      at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
      auto* address = reinterpret_cast<sockaddr*>(&at);
      socklen_t size = sizeof at;
      int fd = listeners_.back().number();
      check(fd >= 0 && bind(fd, address, size) == 0 && listen(fd, SOMAXCONN) == 0 &&
                getsockname(fd, address, &size) == 0,
            "listening at 127.0.0.1");
      hosts.push_back({"127.0.0.1:" + std::to_string(ntohs(at.sin_port))});
    }
    auto pattern = (std::filesystem::temp_directory_path() / "tarn-ring-XXXXXX").string();
    Descriptor file(mkstemp(pattern.data()));
    check(file.number() >= 0, "a temporary file");
    file_ = pattern;
    write_all(file.number(), hosts.dump() + "\n", file_);
    unsigned char bytes[16];
    check(getrandom(bytes, sizeof bytes, 0) == sizeof bytes, "getrandom");
    for (unsigned char b : bytes) key_ += fmt::format("{:02x}", b);
  }
  ~Ring() { unlink(file_.c_str()); }
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;

  std::vector<std::string> environment(int rank) const {
    return {"MLX_HOSTFILE=" + file_, "MLX_RANK=" + std::to_string(rank), "TARN_RING_KEY=" + key_,
            "TARN_RING_SOCKET=" + std::to_string(listener(rank))};
  }
  int listener(int rank) const { return listeners_[static_cast<size_t>(rank)].number(); }

 private:
  std::vector<Descriptor> listeners_{};
  std::string file_{}, key_{};
};

// What one output of a process, or of mpirun, says: passed on line by line.
class Lines {
 public:
  // Without a rank mpirun tells before each piece whose it is: "[1,0]<stdout>:".
  Lines(Descriptor from, int to, std::optional<int> rank)
      : from_(std::move(from)), to_(to), rank_(rank), speaker_(rank.value_or(mpirun)) {}
  int from() const { return from_.number(); }
  bool open() const { return from_.number() >= 0; }
  // Reads what is there.
  void pass_on() {
    char room[1 << 14];
    for (;;) {
      ssize_t n = read(from_.number(), room, sizeof room);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0 && errno == EAGAIN) break;
      if (n <= 0) return finish();
      raw_.append(room, static_cast<size_t>(n));
    }
    sort_out(false);
    write_lines();
  }
  void finish() {
    sort_out(true);
    for (auto& [speaker, line] : held_)
      if (!line.empty()) end_line(speaker, line += '\n');
    write_lines();
    from_ = Descriptor();
  }

 private:
  static constexpr int mpirun = -1;
  static constexpr size_t longest_mark = 32;

  // Gives each speaker what is its, up to a mark that may not be whole yet.
  void sort_out(bool at_end) {
    size_t at = 0;
    while (at < raw_.size()) {
      if (!rank_ && raw_[at] == '[') {
        if (!at_end && raw_.size() - at < longest_mark && raw_.find(">:", at) == std::string::npos)
          break;
        if (size_t length = mark_at(at)) {
          at += length;
          continue;
        }
      }
      std::string& line = held_[speaker_];
      line += raw_[at];
      if (raw_[at++] != '\n') continue;
      end_line(speaker_, line);
      if (!rank_) speaker_ = mpirun;  // until it says otherwise
    }
    raw_.erase(0, at);
  }
  // The length of the mark there, whose rank speaks from now on; 0: it is none.
  size_t mark_at(size_t at) {
    std::string_view text = std::string_view(raw_).substr(at, longest_mark);
    const char *from = text.data() + 1, *end = text.data() + text.size();
    int job = 0, rank = 0;
    auto [comma, no_job] = std::from_chars(from, end, job);
    if (no_job != std::errc() || comma == end || *comma != ',') return 0;
    auto [close, no_rank] = std::from_chars(comma + 1, end, rank);
    std::string_view rest(close, end);
    size_t colon = rest.find(">:");
    if (no_rank != std::errc() || !rest.starts_with("]<std") || colon == rest.npos) return 0;
    speaker_ = rank;
    return static_cast<size_t>(close - text.data()) + colon + 2;
  }
  void end_line(int speaker, std::string& line) {
    out_ += speaker == mpirun ? line : fmt::format("[{}] {}", speaker, line);
    line.clear();
  }
  void write_lines() {
    if (!out_.empty()) write_all(to_, std::exchange(out_, ""), "what the ranks print");
  }

  Descriptor from_;
  int to_;
  std::optional<int> rank_;
  int speaker_;
  std::string raw_{}, out_{};
  std::map<int, std::string> held_{};  // lines that are not whole
};

struct Child {
  pid_t id = 0;
  bool runs = true;
};

class Job {
 public:
  explicit Job(const Ranks& ranks) : ranks_(ranks) {
    sigset_t watched;
    sigemptyset(&watched);
    for (int s : {SIGCHLD, SIGINT, SIGTERM, SIGHUP}) sigaddset(&watched, s);
    sigprocmask(SIG_BLOCK, &watched, &before_);
    signals_ = Descriptor(signalfd(-1, &watched, SFD_CLOEXEC | SFD_NONBLOCK));
    check(signals_.number() >= 0, "signalfd");
  }
  ~Job() {
    for (const Child& c : children_)
      if (c.runs) kill(c.id, SIGKILL), waitpid(c.id, nullptr, 0);
    sigprocmask(SIG_SETMASK, &before_, nullptr);
  }
  Job(const Job&) = delete;
  Job& operator=(const Job&) = delete;

  int run() {
    if (ranks_.by_mpirun) {
      start(words_for_mpirun(), {}, -1, std::nullopt, true);
    } else {
      ring_.emplace(ranks_.count);
      for (int r = 0; r < ranks_.count; ++r) {
        auto environment = ring_->environment(r);
        if (ranks_.with_cards) environment.push_back("TARN_DISTRIBUTED=nccl");
        start(ranks_.words, std::move(environment), ring_->listener(r), r, r == 0);
      }
    }
    while (std::ranges::any_of(children_, &Child::runs)) wait();
    for (Lines& l : outputs_)
      if (l.open()) l.pass_on(), l.finish();
    return status_;
  }

 private:
  std::vector<std::string> words_for_mpirun() const {
    std::vector<std::string> words{"mpirun",          "-n",        std::to_string(ranks_.count),
                                   "--oversubscribe", "--bind-to", "none",
                                   "--tag-output"};
    if (geteuid() == 0) words.push_back("--allow-run-as-root");
    words.insert(words.end(), ranks_.words.begin(), ranks_.words.end());
    return words;
  }

  void start(const std::vector<std::string>& words, std::vector<std::string> environment,
             int inherited, std::optional<int> rank, bool has_input) {
    int out[2], err[2];
    check(pipe2(out, O_CLOEXEC) == 0 && pipe2(err, O_CLOEXEC) == 0, "pipe");
    Descriptor out_end(out[1]), err_end(err[1]);
    for (int end : {out[0], err[0]}) fcntl(end, F_SETFL, O_NONBLOCK);
    outputs_.emplace_back(Descriptor(out[0]), STDOUT_FILENO, rank);
    outputs_.emplace_back(Descriptor(err[0]), STDERR_FILENO, rank);
    std::vector<char*> argv;
    for (const auto& word : words) argv.push_back(const_cast<char*>(word.c_str()));
    argv.push_back(nullptr);
    pid_t parent = getpid(), child = fork();
    check(child >= 0, "fork");
    if (child == 0) {
      prctl(PR_SET_PDEATHSIG, SIGTERM);
      if (getppid() != parent) _exit(cannot_start);
      // Of a ring that this process may be part of.
      for (const char* name :
           {"MLX_HOSTFILE", "MLX_RANK", "TARN_RING_SOCKET", "TARN_RING_KEY", "TARN_DISTRIBUTED"})
        unsetenv(name);
      for (auto& e : environment) putenv(e.data());
      if (inherited >= 0) fcntl(inherited, F_SETFD, 0);
      if (!has_input) dup2(open("/dev/null", O_RDONLY), STDIN_FILENO);
      dup2(out_end.number(), STDOUT_FILENO);
      dup2(err_end.number(), STDERR_FILENO);
      signal(SIGPIPE, SIG_DFL);
      sigprocmask(SIG_SETMASK, &before_, nullptr);
      execvp(argv[0], argv.data());
      _exit(cannot_start);
    }
    children_.push_back({child, true});
  }

  void wait() {
    std::vector<pollfd> polled{{signals_.number(), POLLIN, 0}};
    for (const Lines& l : outputs_)
      if (l.open()) polled.push_back({l.from(), POLLIN, 0});
    int left = -1;
    if (end_by_) {
      auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(*end_by_ - Clock::now());
      left = static_cast<int>(std::max<int64_t>(ms.count(), 0));
    }
    int n = poll(polled.data(), polled.size(), left);
    if (n == 0) {
      tell_all(SIGKILL);
      end_by_.reset();
    }
    for (Lines& l : outputs_)
      if (l.open()) l.pass_on();
    take_signals();
    take_ends();
  }
  void tell_all(int signal) {
    for (const Child& c : children_)
      if (c.runs) kill(c.id, signal);
  }
  void take_signals() {
    signalfd_siginfo info{};
    while (read(signals_.number(), &info, sizeof info) == sizeof info) {
      if (info.ssi_signo == SIGCHLD) continue;
      // Ctrl-C in a terminal has reached the processes by itself.
      if (info.ssi_code != SI_KERNEL) tell_all(static_cast<int>(info.ssi_signo));
    }
  }
  void take_ends() {
    for (size_t i = 0; i < children_.size(); ++i) {
      Child& c = children_[i];
      int status = 0;
      if (!c.runs || waitpid(c.id, &status, WNOHANG) != c.id) continue;
      c.runs = false;
      int code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
      if (code != 0 && status_ == 0) failed(i, code);
    }
  }
  void failed(size_t rank, int code) {
    status_ = code;
    if (code == cannot_start)
      say_line(fmt::format("tarn: [launch] {} cannot be started.",
                           printable(ranks_.by_mpirun ? "mpirun" : ranks_.words[0], 4096)));
    if (children_.size() == 1) return;
    say_line(fmt::format("tarn: [launch] rank {} ended with status {}; the others are ended.", rank,
                         code));
    // Those that talked with it fail by themselves, and say why.
    tell_all(SIGTERM);
    end_by_ = Clock::now() + grace;
  }

  const Ranks& ranks_;
  sigset_t before_{};
  Descriptor signals_{};
  std::optional<Ring> ring_{};
  std::vector<Child> children_{};
  std::vector<Lines> outputs_{};
  int status_ = 0;
  std::optional<Clock::time_point> end_by_{};
};

}  // namespace

int run_ranks(const Ranks& ranks) { return Job(ranks).run(); }

}  // namespace tarn::cli
