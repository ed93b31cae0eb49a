// The engine that needs nothing installed: processes that the environment tells each other's
// addresses, as for MLX's ring. MLX_HOSTFILE names a JSON file of one list a rank,
//
//     [["10.0.0.1:5000"], ["10.0.0.2:5000"]]
//
// and MLX_RANK is this process's place in it. `tarn launch` also sets TARN_RING_SOCKET, a socket
// that listens at the address already, and TARN_RING_KEY, which others on the machine do not know.
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "base/json.h"
#include "base/printable.h"
#include "base/require.h"
#include "distributed/mesh.h"

namespace tarn::distributed {
namespace {

using Clock = std::chrono::steady_clock;
// Programs of a job start within this of each other.
constexpr auto patience = std::chrono::seconds(60);

struct Address {
  std::string host{}, port{};
};
std::string text_of(const Address& a) { return a.host + ":" + a.port; }

Address read_address(const Json& entry, const std::string& file, size_t rank) {
  const Json& first = entry.is_array() && !entry.empty() ? entry[0] : entry;
  std::string text = first.is_string() ? first.get<std::string>() : "";
  size_t colon = text.rfind(':');
  require<FileError>(colon != std::string::npos && colon > 0 && colon + 1 < text.size(),
                     "[init] {}: the entry of rank {} is {}; it must be a list with \"host:port\".",
                     printable(file), rank, printable(entry.dump()));
  return {text.substr(0, colon), text.substr(colon + 1)};
}

struct Job {
  int rank = 0;
  int round = 0;
  std::vector<Address> addresses{};
};

Job read_job() {
  std::string file = std::getenv("MLX_HOSTFILE"), rank = std::getenv("MLX_RANK");
  Json hosts = load_json(file, size_t{1} << 20);
  require<FileError>(hosts.is_array() && !hosts.empty(),
                     "[init] {} is not a list with an entry for each rank.", printable(file));
  Job job;
  for (size_t r = 0; r < hosts.size(); ++r)
    job.addresses.push_back(read_address(hosts[r], file, r));
  auto [end, error] = std::from_chars(rank.data(), rank.data() + rank.size(), job.rank);
  bool whole = error == std::errc() && end == rank.data() + rank.size();
  require(whole && job.rank >= 0 && job.rank < static_cast<int>(hosts.size()),
          "[init] MLX_RANK is \"{}\"; {} has ranks 0 to {}.", printable(rank), printable(file),
          hosts.size() - 1);
  return job;
}

struct FreeAddresses {
  void operator()(addrinfo* a) const { freeaddrinfo(a); }
};
std::unique_ptr<addrinfo, FreeAddresses> resolved(const Address& a) {
  addrinfo wanted{}, *found = nullptr;
  wanted.ai_socktype = SOCK_STREAM;
  int error = getaddrinfo(a.host.c_str(), a.port.c_str(), &wanted, &found);
  require<DeviceError>(error == 0, "[init] {} is no address: {}.", printable(text_of(a)),
                       gai_strerror(error));
  return std::unique_ptr<addrinfo, FreeAddresses>(found);
}

Socket listening_at(const Address& a) {
  // It stays open for connecting again.
  if (const char* given = std::getenv("TARN_RING_SOCKET"))
    return Socket(fcntl(std::atoi(given), F_DUPFD_CLOEXEC, 0));
  auto where = resolved(a);
  Socket s(socket(where->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  int on = 1;
  setsockopt(s.fd(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  bool listens = s.fd() >= 0 && bind(s.fd(), where->ai_addr, where->ai_addrlen) == 0 &&
                 listen(s.fd(), SOMAXCONN) == 0;
  require<DeviceError>(listens, "[init] this process cannot listen at {}: {}.",
                       printable(text_of(a)), strerror(errno));
  return s;
}

void set_options(const Socket& s) {
  // A machine that vanished is noticed within half a minute.
  int on = 1, idle = 10, interval = 5, count = 3;
  setsockopt(s.fd(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  setsockopt(s.fd(), SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  setsockopt(s.fd(), IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
  setsockopt(s.fd(), IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
  setsockopt(s.fd(), IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof count);
}

// What both ends of a connection tell each other first.
struct Greeting {
  char magic[8] = {'t', 'a', 'r', 'n', 'm', 'e', 's', 'h'};
  char key[32] = {};
  int32_t rank = 0, size = 0;
  int32_t round = 0;  // how often the job has connected before
};
Greeting greeting_of(const Job& job) {
  Greeting g;
  if (const char* key = std::getenv("TARN_RING_KEY"))
    std::copy_n(key, std::min(std::strlen(key), sizeof g.key), g.key);
  g.rank = job.rank;
  g.round = job.round;
  g.size = static_cast<int32_t>(job.addresses.size());
  return g;
}

bool wait_for(const Socket& s, short events, Clock::time_point until) {
  for (;;) {
    auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - Clock::now());
    pollfd p{s.fd(), events, 0};
    int n = poll(&p, 1, static_cast<int>(std::max<int64_t>(left.count(), 0)));
    if (n > 0) return true;
    if (n == 0 || errno != EINTR) return false;
  }
}

// The greeting of the other end, if it is one of this job's.
std::optional<Greeting> met(const Socket& s, const Greeting& mine, Clock::time_point until) {
  if (::send(s.fd(), &mine, sizeof mine, MSG_NOSIGNAL) != sizeof mine) return {};
  Greeting other;
  size_t done = 0;
  while (done < sizeof other) {
    if (!wait_for(s, POLLIN, until)) return {};
    ssize_t n = ::recv(s.fd(), reinterpret_cast<char*>(&other) + done, sizeof other - done, 0);
    if (n <= 0) return {};
    done += static_cast<size_t>(n);
  }
  bool ours = std::equal(mine.magic, std::end(mine.magic), other.magic) &&
              std::equal(mine.key, std::end(mine.key), other.key) && other.size == mine.size &&
              other.round == mine.round && other.rank >= 0 && other.rank < other.size &&
              other.rank != mine.rank;
  return ours ? std::optional(other) : std::nullopt;
}

Socket connected_to(const Job& job, int rank, Clock::time_point until) {
  const Address& a = job.addresses[static_cast<size_t>(rank)];
  auto where = resolved(a);
  while (Clock::now() < until) {
    Socket s(socket(where->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    timeval longest{5, 0};  // for an address that nobody has
    setsockopt(s.fd(), SOL_SOCKET, SO_SNDTIMEO, &longest, sizeof longest);
    if (s.fd() >= 0 && connect(s.fd(), where->ai_addr, where->ai_addrlen) == 0) {
      auto other = met(s, greeting_of(job), until);
      if (other && other->rank == rank) return s;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  fail<DeviceError>("[init] rank {} at {} did not answer within {} seconds.", rank,
                    printable(text_of(a)), patience.count());
}

}  // namespace

bool started_as_ring() { return std::getenv("MLX_HOSTFILE") && std::getenv("MLX_RANK"); }

std::shared_ptr<Peers> connect_ring() {
  static std::atomic<int> rounds{0};
  Job job = read_job();
  job.round = rounds++;
  int size = static_cast<int>(job.addresses.size());
  if (size == 1) return alone();
  auto until = Clock::now() + patience;
  Socket listener = listening_at(job.addresses[static_cast<size_t>(job.rank)]);
  std::vector<Socket> sockets(static_cast<size_t>(size));
  for (int r = 0; r < job.rank; ++r) sockets[static_cast<size_t>(r)] = connected_to(job, r, until);
  for (int missing = size - 1 - job.rank; missing > 0;) {
    require<DeviceError>(wait_for(listener, POLLIN, until),
                         "[init] {} of {} ranks did not call within {} seconds.", missing, size,
                         patience.count());
    Socket s(accept4(listener.fd(), nullptr, nullptr, SOCK_CLOEXEC));
    require<DeviceError>(s.fd() >= 0 || errno == EINTR || errno == ECONNABORTED,
                         "[init] accept failed: {}.", strerror(errno));
    if (s.fd() < 0) continue;
    // Who says nothing is a stranger, and does not keep the others waiting for long.
    auto other = met(s, greeting_of(job), std::min(until, Clock::now() + std::chrono::seconds(5)));
    if (!other || other->rank <= job.rank) continue;
    Socket& place = sockets[static_cast<size_t>(other->rank)];
    if (place.fd() < 0) --missing;
    place = std::move(s);
  }
  for (const Socket& s : sockets)
    if (s.fd() >= 0) set_options(s);
  return make_mesh(job.rank, std::move(sockets));
}

}  // namespace tarn::distributed
