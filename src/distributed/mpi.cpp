// Open MPI, loaded when a program was started by mpirun. Nothing is compiled against it: what is
// used of its binary interface (libmpi.so.40; tested with 4.1) is declared here.
// Other MPIs have another interface; they lack the symbol that is looked for first.
#include <dlfcn.h>
#include <stdlib.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <list>
#include <mutex>
#include <thread>
#include <vector>

#include "base/require.h"
#include "distributed/peers.h"

namespace tarn::distributed {
namespace {

// Handles of Open MPI are pointers to objects of its own.
using Comm = void*;
using Type = void*;
using Request = void*;
using Handler = void*;
struct Status {
  int source = 0, tag = 0, error = 0, cancelled = 0;
  size_t bytes = 0;
};
constexpr int success = 0, truncated = 15, in_status = 17;  // errors
constexpr int serialized = 2, error_text_size = 256;

struct Library {
  int (*is_initialized)(int*) = nullptr;
  int (*is_finalized)(int*) = nullptr;
  int (*init_thread)(int*, char***, int wanted, int* provided) = nullptr;
  int (*finalize)() = nullptr;
  int (*comm_rank)(Comm, int*) = nullptr;
  int (*comm_size)(Comm, int*) = nullptr;
  int (*comm_set_errhandler)(Comm, Handler) = nullptr;
  int (*isend)(const void*, int, Type, int to, int tag, Comm, Request*) = nullptr;
  int (*irecv)(void*, int, Type, int from, int tag, Comm, Request*) = nullptr;
  int (*testall)(int, Request*, int* done, Status*) = nullptr;
  int (*error_string)(int, char*, int*) = nullptr;
  Comm world = nullptr;
  Type byte = nullptr;
  Handler errors_return = nullptr;
};

template <class F>
bool find(void* library, const char* name, F& function) {
  function = reinterpret_cast<F>(dlsym(library, name));
  return function != nullptr;
}

const Library* library() {
  static const Library* const it = []() -> const Library* {
    // Its plugins look for its symbols among those of the process.
    void* l = nullptr;
    for (const char* name : {"libmpi.so.40", "libmpi.so"})
      if (!l) l = dlopen(name, RTLD_NOW | RTLD_GLOBAL);
    static Library m;
    bool whole = l && find(l, "ompi_mpi_comm_world", m.world) && find(l, "ompi_mpi_byte", m.byte) &&
                 find(l, "ompi_mpi_errors_return", m.errors_return) &&
                 find(l, "MPI_Initialized", m.is_initialized) &&
                 find(l, "MPI_Finalized", m.is_finalized) &&
                 find(l, "MPI_Init_thread", m.init_thread) && find(l, "MPI_Finalize", m.finalize) &&
                 find(l, "MPI_Comm_rank", m.comm_rank) && find(l, "MPI_Comm_size", m.comm_size) &&
                 find(l, "MPI_Comm_set_errhandler", m.comm_set_errhandler) &&
                 find(l, "MPI_Isend", m.isend) && find(l, "MPI_Irecv", m.irecv) &&
                 find(l, "MPI_Testall", m.testall) && find(l, "MPI_Error_string", m.error_string);
    return whole ? &m : nullptr;
  }();
  return it;
}

void check(std::string_view what, int code) {
  if (code == success) return;
  char text[error_text_size] = "";
  int length = 0;
  library()->error_string(code, text, &length);
  fail<DeviceError>("[{}] MPI failed: {}.", what, std::string_view(text, length));
}

// Counts are ints: longer messages go in pieces.
constexpr size_t piece_bytes = size_t{1} << 30;

class Mpi final : public Peers {
 public:
  explicit Mpi(const Library& mpi) : mpi_(mpi) {
    mpi.comm_rank(mpi.world, &rank_);
    mpi.comm_size(mpi.world, &size_);
  }
  int rank() const override { return rank_; }
  int size() const override { return size_; }

  void exchange(std::string_view what, std::span<const Sent> sent,
                std::span<const Received> received) override {
    std::lock_guard lock(mutex_);
    int tag = tag_of(what);
    Pending now;
    Expected expected;
    for (int r = 0; r < size_; ++r)
      if (r != rank_) receive(what, tag, r, received[static_cast<size_t>(r)], now, expected);
    bool only_sends = now.requests.empty();
    if (only_sends) return send_later(what, tag, sent);
    for (int r = 0; r < size_; ++r)
      if (r != rank_) send(what, tag, r, sent[static_cast<size_t>(r)], now);
    int code = wait(now);
    for (const auto& [at, rank, bytes] : expected) {
      const Status& s = now.statuses[at];
      bool longer = code == in_status && s.error == truncated;
      require<DeviceError>(!longer && (code != success || s.bytes == bytes),
                           "[{}] rank {} sent {} bytes than the {} that are expected: all ranks "
                           "have to make the same communications in the same order.",
                           what, rank, longer ? "more" : "fewer", bytes);
    }
    check(what, code);
  }

 private:
  struct Pending {
    std::vector<Request> requests{};
    std::vector<Status> statuses{};
    std::vector<std::byte> copy{};  // of what is sent, where nobody waits for that
  };
  struct Piece {
    size_t at;  // among the requests
    int rank;
    size_t bytes;
  };
  using Expected = std::vector<Piece>;

  // Messages of one communication do not meet those of another.
  static int tag_of(std::string_view what) {
    int tag = 0;
    for (char c : what) tag = (tag * 31 + c) % 32749;  // every MPI has tags to 32767
    return tag;
  }
  void receive(std::string_view what, int tag, int rank, Received r, Pending& now,
               Expected& expected) {
    for (; !r.empty(); r = r.subspan(std::min(r.size(), piece_bytes))) {
      size_t bytes = std::min(r.size(), piece_bytes);
      expected.push_back({now.requests.size(), rank, bytes});
      Request& request = now.requests.emplace_back();
      check(what, mpi_.irecv(r.data(), static_cast<int>(bytes), mpi_.byte, rank, tag, mpi_.world,
                             &request));
    }
  }
  void send(std::string_view what, int tag, int rank, Sent s, Pending& now) {
    for (; !s.empty(); s = s.subspan(std::min(s.size(), piece_bytes))) {
      size_t bytes = std::min(s.size(), piece_bytes);
      Request& request = now.requests.emplace_back();
      check(what, mpi_.isend(s.data(), static_cast<int>(bytes), mpi_.byte, rank, tag, mpi_.world,
                             &request));
    }
  }
  // Done, for better or worse: `code` says which.
  bool done(Pending& p, int& code) {
    int all = 0;
    p.statuses.resize(p.requests.size());
    code = mpi_.testall(static_cast<int>(p.requests.size()), p.requests.data(), &all,
                        p.statuses.data());
    return all != 0 || code != success;
  }
  // What a send that nobody waits for met, the next communication will meet.
  void forget_done() {
    int code = success;
    std::erase_if(later_, [&](Pending& p) { return done(p, code); });
  }
  // MPI moves data only while it is asked. A thousand askings take some 100 us; a rank that is
  // further behind than that is waited for without taking the processor from it.
  int wait(Pending& now) {
    int code = success;
    for (int asked = 0; !done(now, code); ++asked) {
      if (asked % 16 == 0) forget_done();
      if (asked > 1000)
        std::this_thread::sleep_for(std::chrono::microseconds(20));
      else if (asked > 100)
        std::this_thread::yield();
    }
    return code;
  }
  void send_later(std::string_view what, int tag, std::span<const Sent> sent) {
    for (int r = 0; r < size_; ++r) {
      Sent s = sent[static_cast<size_t>(r)];
      if (r == rank_ || s.empty()) continue;
      Pending& p = later_.emplace_back();
      p.copy.assign(s.begin(), s.end());
      send(what, tag, r, p.copy, p);
    }
    forget_done();
  }

  const Library& mpi_;
  int rank_ = 0, size_ = 1;
  std::mutex mutex_{};
  std::list<Pending> later_{};
};

// A rank that ends with an error does not finalise, which would wait for the others: mpirun then
// ends them.
void finalize_at_exit(int status, void*) {
  int finalized = 0;
  library()->is_finalized(&finalized);
  if (status == 0 && !finalized) library()->finalize();
}

}  // namespace

bool mpi_is_there() { return library() != nullptr; }
bool started_by_mpi() {
  return std::getenv("OMPI_COMM_WORLD_SIZE") || std::getenv("PMIX_NAMESPACE");
}

std::shared_ptr<Peers> connect_mpi() {
  const Library* mpi = library();
  require<DeviceError>(mpi != nullptr,
                       "[init] mpirun started this process, but Open MPI's libmpi.so.40 is not "
                       "found: install libopenmpi3.");
  int is_initialized = 0, provided = serialized;
  mpi->is_initialized(&is_initialized);
  if (!is_initialized) {
    check("init", mpi->init_thread(nullptr, nullptr, serialized, &provided));
    on_exit(finalize_at_exit, nullptr);
  }
  // Communications come from one thread at a time, but not always from the same.
  require<DeviceError>(provided >= serialized,
                       "[init] this MPI allows calls by one thread only; Tarn needs "
                       "MPI_THREAD_SERIALIZED.");
  check("init", mpi->comm_set_errhandler(mpi->world, mpi->errors_return));
  // One for the process, like MPI itself, which may be started once; it holds what is still sent.
  static const auto* const peers = new std::shared_ptr<Peers>(std::make_shared<Mpi>(*mpi));
  return (*peers)->size() == 1 ? alone() : *peers;
}

}  // namespace tarn::distributed
