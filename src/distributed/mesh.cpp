// Messages over sockets. Each begins with the name of its communication and its size, which the
// receiver compares with what it expects: ranks that have parted are told, not left waiting.
#include "distributed/mesh.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <mutex>
#include <thread>
#include <utility>

#include "base/printable.h"
#include "base/require.h"

namespace tarn::distributed {
namespace {

struct Header {
  char what[24] = {};
  uint64_t bytes = 0;
};
Header header_of(std::string_view what, size_t bytes) {
  Header h;
  std::copy_n(what.begin(), std::min(what.size(), sizeof h.what), h.what);
  h.bytes = bytes;
  return h;
}
std::string name_in(const Header& h) {
  return printable(std::string(h.what, strnlen(h.what, sizeof h.what)));
}

// One direction of one message: the header, then the data.
struct Transfer {
  Header header{};
  std::byte* data = nullptr;
  size_t bytes = 0, done = 0;

  bool finished() const { return done == bytes + (bytes > 0 ? sizeof header : 0); }
  // What comes next.
  std::span<std::byte> rest() {
    if (done < sizeof header) return std::as_writable_bytes(std::span(&header, 1)).subspan(done);
    return std::span(data, bytes).subspan(done - sizeof header);
  }
};

class Mesh final : public Peers {
 public:
  Mesh(int rank, std::vector<Socket> sockets)
      : rank_(rank),
        size_(static_cast<int>(sockets.size())),
        sockets_(std::move(sockets)),
        early_(sockets_.size()),
        gone_(sockets_.size()) {
    for (const Socket& s : sockets_)
      if (s.fd() >= 0) fcntl(s.fd(), F_SETFL, fcntl(s.fd(), F_GETFL) | O_NONBLOCK);
  }
  int rank() const override { return rank_; }
  int size() const override { return size_; }

  void exchange(std::string_view what, std::span<const Sent> sent,
                std::span<const Received> received) override {
    std::lock_guard lock(mutex_);
    require<DeviceError>(!sockets_.empty(),
                         "[{}] an earlier communication of this group failed; it is of no use now.",
                         what);
    try {
      Talk talk(*this, what, sent, received);
      while (!talk.finished()) talk.go_on();
    } catch (...) {
      sockets_.clear();  // the others see it, and fail as well
      throw;
    }
  }
  int gone() override {
    std::unique_lock lock(mutex_, std::try_to_lock);
    if (!lock) return -1;  // who communicates at the moment finds out
    if (sockets_.empty()) return lost_;
    std::vector<pollfd> polled;
    for (const Socket& s : sockets_) polled.push_back({s.fd(), POLLRDHUP, 0});
    while (poll(polled.data(), polled.size(), 0) < 0)
      if (errno != EINTR) return -1;
    auto ended = std::ranges::find_if(polled, [](const pollfd& p) { return p.revents != 0; });
    return ended == polled.end() ? -1 : static_cast<int>(ended - polled.begin());
  }

 private:
  // One exchange under way.
  class Talk {
   public:
    Talk(Mesh& mesh, std::string_view what, std::span<const Sent> sent,
         std::span<const Received> received)
        : mesh_(mesh), what_(what), out_(sent.size()), in_(sent.size()) {
      for (size_t r = 0; r < sent.size(); ++r) {
        if (static_cast<int>(r) == mesh.rank_) continue;
        // Written from, never to.
        out_[r].data = const_cast<std::byte*>(sent[r].data());
        out_[r].bytes = sent[r].size();
        out_[r].header = header_of(what, sent[r].size());
        in_[r].data = received[r].data();
        in_[r].bytes = received[r].size();
        take_early(r);
      }
    }
    bool finished() const {
      return std::ranges::all_of(out_, &Transfer::finished) &&
             std::ranges::all_of(in_, &Transfer::finished);
    }
    void go_on() {
      std::vector<pollfd> polled;
      std::vector<size_t> ranks;
      bool sending = !std::ranges::all_of(out_, &Transfer::finished);
      for (size_t r = 0; r < out_.size(); ++r) {
        short events = 0;
        if (!out_[r].finished()) events |= POLLOUT;
        // Who waits to send reads what others send early: they may be waiting in the same way.
        if (!in_[r].finished() || (sending && !mesh_.gone_[r])) events |= POLLIN;
        if (events == 0 || mesh_.sockets_[r].fd() < 0) continue;
        polled.push_back({mesh_.sockets_[r].fd(), events, 0});
        ranks.push_back(r);
      }
      while (poll(polled.data(), polled.size(), -1) < 0)
        require<DeviceError>(errno == EINTR, "[{}] poll failed: {}.", what_, strerror(errno));
      for (size_t i = 0; i < polled.size(); ++i) {
        if (polled[i].revents & (POLLIN | POLLHUP | POLLERR)) receive(ranks[i]);
        if (polled[i].revents & POLLOUT) send(ranks[i]);
      }
    }

   private:
    [[noreturn]] void lost(size_t r) {
      mesh_.lost_ = static_cast<int>(r);
      // So that who watches the ranks sees the one that ended end first.
      std::this_thread::sleep_for(std::chrono::milliseconds(200));
      fail<DeviceError>(
          "[{}] rank {} is gone: it ended, or closed its connection, before this "
          "communication was done.",
          what_, r);
    }
    void send(size_t r) {
      while (!out_[r].finished()) {
        auto rest = out_[r].rest();
        ssize_t n = ::send(mesh_.sockets_[r].fd(), rest.data(), rest.size(), MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return;
        if (n < 0) lost(r);
        out_[r].done += static_cast<size_t>(n);
      }
    }
    void receive(size_t r) {
      std::byte room[1 << 14];
      for (;;) {
        bool wanted = !in_[r].finished();
        auto rest = wanted ? in_[r].rest() : std::span(room);
        ssize_t n = ::recv(mesh_.sockets_[r].fd(), rest.data(), rest.size(), 0);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return;
        if (n <= 0) {
          // What it sent before has been read; it matters when more is needed.
          if (wanted || !out_[r].finished()) lost(r);
          mesh_.gone_[r] = true;
          return;
        }
        if (wanted)
          took(r, static_cast<size_t>(n));
        else
          mesh_.early_[r].insert(mesh_.early_[r].end(), room, room + n);
        if (wanted && in_[r].finished()) return;
      }
    }
    void took(size_t r, size_t bytes) {
      Transfer& t = in_[r];
      bool was_header = t.done < sizeof t.header;
      t.done += bytes;
      if (was_header && t.done == sizeof t.header) check(r);
    }
    void check(size_t r) {
      const Transfer& t = in_[r];
      Header expected = header_of(what_, t.bytes);
      bool same = std::equal(expected.what, std::end(expected.what), t.header.what) &&
                  t.header.bytes == t.bytes;
      require<DeviceError>(same,
                           "[{}] rank {} sent {} bytes of {}, where {} bytes of {} are expected: "
                           "all ranks have to make the same communications in the same order.",
                           what_, r, t.header.bytes, name_in(t.header), t.bytes, what_);
    }
    // What arrived while something else was sent.
    void take_early(size_t r) {
      auto& early = mesh_.early_[r];
      size_t used = 0;
      while (used < early.size() && !in_[r].finished()) {
        auto rest = in_[r].rest();
        size_t n = std::min(rest.size(), early.size() - used);
        std::copy_n(early.begin() + static_cast<std::ptrdiff_t>(used), n, rest.begin());
        used += n;
        took(r, n);
      }
      early.erase(early.begin(), early.begin() + static_cast<std::ptrdiff_t>(used));
    }

    Mesh& mesh_;
    std::string_view what_;
    std::vector<Transfer> out_, in_;
  };

  int rank_, size_;
  int lost_ = -1;
  std::mutex mutex_{};
  std::vector<Socket> sockets_;  // none after a failure
  std::vector<std::vector<std::byte>> early_;
  std::vector<bool> gone_;
};

}  // namespace

Socket::~Socket() {
  if (fd_ >= 0) close(fd_);
}

std::shared_ptr<Peers> make_mesh(int rank, std::vector<Socket> sockets) {
  return std::make_shared<Mesh>(rank, std::move(sockets));
}

}  // namespace tarn::distributed
