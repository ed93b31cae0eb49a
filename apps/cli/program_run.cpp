#include "program_run.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <limits>

#include "base/file.h"
#include "base/json.h"
#include "base/printable.h"
#include "base/require.h"
#include "descriptor.h"

namespace tarn::cli {
namespace {

Descriptor writable(const std::string& path) {
  Descriptor file(open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  require<FileError>(file.number() >= 0, "[research] {}: cannot be written: {}.",
                     printable(path, 4096), std::strerror(errno));
  return file;
}

// In the child. Other threads are gone, so only system calls.
[[noreturn]] void become(char* const* words, int output, int log, pid_t parent) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(cannot_start);  // it ended before that was set
  signal(SIGPIPE, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  dup2(output, STDOUT_FILENO);
  dup2(log, STDERR_FILENO);
  execvp(words[0], words);
  _exit(cannot_start);
}

pid_t start(const ProgramRun& run) {
  Descriptor output = writable(run.output), log = writable(run.log);
  std::vector<char*> words;
  for (const std::string& word : run.words) words.push_back(const_cast<char*>(word.c_str()));
  words.push_back(nullptr);
  pid_t parent = getpid(), child = fork();
  if (child == 0) become(words.data(), output.number(), log.number(), parent);
  require<FileError>(child > 0, "[research] no process could be started: {}.",
                     std::strerror(errno));
  return child;
}

// Until it has ended. It stays a process till then, so that no stop request meets another one that
// got its number.
int status_of(pid_t child, std::stop_token stop) {
  {
    std::stop_callback end(std::move(stop), [child] { kill(child, SIGTERM); });
    siginfo_t info{};
    while (waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOWAIT) < 0 && errno == EINTR)
      ;
  }
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR)
    ;
  return status;
}

std::string last_line(const std::string& path) {
  std::string text = read_text(path, size_t{64} << 20);
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
  return text.substr(text.rfind('\n') + 1);
}

lm::RunResult result_in(const std::string& path) {
  std::string line = last_line(path);
  Json json = Json::parse(line, nullptr, false);
  bool sound = json.is_object() && json.contains("loss") && json.contains("tokens") &&
               (json["loss"].is_number() || json["loss"].is_null()) &&
               json["tokens"].is_number_unsigned();
  require<FileError>(sound,
                     "[research] {}: the last line is \"{}\"; a JSON object with the loss and the "
                     "number of tokens is needed, such as {{\"loss\": 1.25, \"tokens\": 200000}}.",
                     printable(path, 4096), printable(line));
  const Json& loss = json["loss"];
  return {loss.is_null() ? std::numeric_limits<double>::infinity() : loss.get<double>(),
          json["tokens"].get<int64_t>()};
}

}  // namespace

std::optional<lm::RunResult> run_program(const ProgramRun& run, std::stop_token stop) {
  int status = status_of(start(run), stop);
  if (stop.stop_requested()) return std::nullopt;
  std::string name = printable(run.words[0], 4096), log = printable(run.log, 4096);
  require<FileError>(!WIFEXITED(status) || WEXITSTATUS(status) != cannot_start,
                     "[research] {} cannot be started. Give a program and what it needs after --.",
                     name);
  require<FileError>(!WIFSIGNALED(status), "[research] {} was ended by signal {}; see {}.", name,
                     WTERMSIG(status), log);
  require<FileError>(WEXITSTATUS(status) == 0,
                     "[research] {} ended with status {} and \"{}\"; see {}.", name,
                     WEXITSTATUS(status), printable(last_line(run.log)), log);
  return result_in(run.output);
}

}  // namespace tarn::cli
