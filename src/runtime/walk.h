// The walk that begins an evaluation, and what an evaluation works with.
#pragma once

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "runtime/graph_view.h"
#include "tarn/array.h"

namespace tarn {

// One running eval. Others that meet its nodes wait for it and look again.
struct Evaluation : std::enable_shared_from_this<Evaluation> {
  std::mutex mutex{};
  std::condition_variable changed{};
  std::atomic<bool> done{false};

  void wait() {
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return done.load(); });
  }
  void finish() {
    {
      std::lock_guard lock(mutex);
      done = true;
    }
    changed.notify_all();
  }
};

// A node that a walk is at, and the input that it visits next.
struct Frame {
  Node* node = nullptr;
  size_t next = 0;
};

// What an evaluation works with. Each thread keeps that of its last one, so that a loop over small
// graphs asks for no memory here; one that has seen a large graph is given back.
struct EvalRoom {
  GraphView view{};
  std::vector<Frame> stack{};
  std::vector<Inputs> detached{};  // what the outputs held on to
  std::shared_ptr<Evaluation> evaluation = std::make_shared<Evaluation>();

  void clear() {
    detached.clear();
    view.items.clear();
    view.inputs.clear();
    view.shape_of = view.values_of = {};
    stack.clear();
  }
};

// The thread's room, or a new one inside of another evaluation.
class RoomInUse {
 public:
  RoomInUse();
  ~RoomInUse();
  RoomInUse(const RoomInUse&) = delete;
  RoomInUse& operator=(const RoomInUse&) = delete;
  EvalRoom& operator*() const { return *room_; }
  EvalRoom* operator->() const { return room_.get(); }
  // An evaluation that nobody waits for any more.
  Evaluation& fresh_evaluation();
  // Its nodes are unclaimed by now: whoever waits for it holds a reference.
  void finish_evaluation() {
    if (room_->evaluation.use_count() > 1) room_->evaluation->finish();
  }

 private:
  std::unique_ptr<EvalRoom> room_{};
};

// Collects, under graph_mutex(), what has to be computed for `roots` in room.view. Null when the
// graph can be claimed; otherwise the evaluation to wait for. Throws ValueError when an array
// stands for an argument of a function that is being transformed.
std::shared_ptr<Evaluation> collect(std::span<const array> roots, EvalRoom& room);

}  // namespace tarn
