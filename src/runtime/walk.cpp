#include "runtime/walk.h"

#include <utility>

#include "base/require.h"
#include "graph/node.h"
#include "runtime/eval.h"
#include "runtime/rehearsal.h"

namespace tarn {
namespace {

constexpr size_t kept_items = 1 << 14;

// Static objects may evaluate after their thread's room is gone.
thread_local bool room_is_gone = false;
struct KeptRoom {
  std::unique_ptr<EvalRoom> room{};
  ~KeptRoom() { room_is_gone = true; }
};
thread_local KeptRoom kept;

}  // namespace

RoomInUse::RoomInUse() {
  if (!room_is_gone) room_ = std::move(kept.room);
  if (!room_) room_ = std::make_unique<EvalRoom>();
}
RoomInUse::~RoomInUse() {
  room_->clear();
  if (!room_is_gone && room_->view.items.capacity() <= kept_items) kept.room = std::move(room_);
}
Evaluation& RoomInUse::fresh_evaluation() {
  auto& mine = room_->evaluation;
  if (mine.use_count() > 1) mine = std::make_shared<Evaluation>();
  mine->done.store(false, std::memory_order_relaxed);
  return *mine;
}

namespace {

class Walk {
 public:
  Walk(std::span<const array> roots, EvalRoom& room)
      : roots_(roots), view_(room.view), items_(room.view.items), stack_(room.stack) {}

  std::shared_ptr<Evaluation> collect() {
    {
      Unmark unmark{view_};
      for (const auto& root : roots_) visit(root.node());
      if (!blocked_ && !placeholder_) describe();
    }
    require<ValueError>(!placeholder_,
                        "[eval] an array stands for an argument of a function that is being "
                        "transformed, so it has no value yet. Compute with it instead of looking "
                        "at it.");
    return blocked_;
  }

 private:
  // Also when there is no memory for the walk: the next one must not take its marks for its own.
  struct Unmark {
    GraphView& view;
    ~Unmark() {
      for (auto& item : view.items) item.node->mark = -1;
    }
  };

  bool seen(Node* n) {
    if (n->mark >= 0) return true;
    switch (n->state.load(std::memory_order_acquire)) {
      case State::ready:
        add(n, true);
        return true;
      case State::claimed:
        blocked_ = n->evaluation->shared_from_this();
        return true;
      case State::placeholder:
        placeholder_ = true;
        return true;
      case State::recorded:
        return false;
    }
    return true;
  }
  int add(Node* n, bool leaf) {
    // Made where it lies: a copy would read in one piece what was just written in several.
    GraphItem& item = items_.emplace_back();
    item.node = n;
    item.leaf = leaf;
    n->mark = static_cast<int32_t>(items_.size()) - 1;
    return n->mark;
  }
  void visit(Node* root) {
    if (seen(root)) return;
    stack_.emplace_back(root);
    while (!stack_.empty() && !blocked_ && !placeholder_) {
      Frame& top = stack_.back();
      if (top.next == 0)
        for (const auto& x : top.node->inputs) prefetch(x.node());
      if (top.next < top.node->inputs.size()) {
        Node* in = top.node->inputs[top.next++].node();
        if (!seen(in)) stack_.emplace_back(in);
        continue;
      }
      Node* n = top.node;
      stack_.pop_back();
      if (n->mark >= 0) continue;
      int id = add(n, false);
      GraphItem& item = items_[static_cast<size_t>(id)];
      item.first_in = static_cast<int>(view_.inputs.size());
      item.ins = static_cast<int>(n->inputs.size());
      for (const auto& x : n->inputs) {
        view_.inputs.push_back(x.node()->mark);
        ++items_[static_cast<size_t>(x.node()->mark)].uses;
      }
    }
  }

  void describe() {
    for (const auto& r : roots_)
      if (r.node()->mark >= 0) items_[static_cast<size_t>(r.node()->mark)].output = true;
    Hash& h = view_.shape_of;
    for (auto& item : items_) {
      const Node& n = *item.node;
      auto refs = n.refs.load(std::memory_order_acquire);
      bool held = refs > static_cast<uint32_t>(item.uses);
      if (item.leaf) {
        item.output = false;
        // A derivative will look at the history, and so at this value, again.
        bool last_use = !held && !keeps_history();
        item.donated = last_use && n.buffer && n.buffer.unique() && is_ours(*n.buffer.get());
        h.add(1 + (item.donated ? 2 : 0) + (n.contiguous ? 4 : 0));
        if (!n.contiguous)
          for (auto s : n.strides) h.add(static_cast<uint64_t>(s));
      } else {
        item.output |= held;
        h.add(reinterpret_cast<uintptr_t>(n.op) + (item.output ? 1 : 0) +
              (n.stream.device == Device::gpu ? 2 : 0));
        n.params.hash(h);
        n.params.hash_runtime(view_.values_of);
        for (int i : view_.in(item)) h.add(static_cast<uint64_t>(i));
      }
      h.add(static_cast<uint64_t>(n.dtype.val) * 64 + n.shape.size());
      for (auto d : n.shape) h.add(static_cast<uint64_t>(d));
    }
  }

  // Whether the memory may be written to: nobody handed it to us.
  bool is_ours(const Buffer& b) const {
    return !b.release || (rehearsal_ && MemoryRehearsal::Impl::owns(b));
  }

  std::span<const array> roots_;
  const MemoryRehearsal::Impl* rehearsal_ = MemoryRehearsal::Impl::current();
  GraphView& view_;
  std::vector<GraphItem>& items_;
  std::vector<Frame>& stack_;
  std::shared_ptr<Evaluation> blocked_{};
  bool placeholder_ = false;
};

}  // namespace

std::shared_ptr<Evaluation> collect(std::span<const array> roots, EvalRoom& room) {
  return Walk(roots, room).collect();
}

}  // namespace tarn
