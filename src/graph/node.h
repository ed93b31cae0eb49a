// What a lazy value is: the call that makes it or the memory that holds it.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "base/buffer.h"
#include "graph/inputs.h"
#include "graph/op.h"
#include "graph/params.h"
#include "tarn/array.h"

namespace tarn {

struct Evaluation;  // one running eval; see runtime/eval

enum class State : uint8_t {
  recorded,     // `op` says how to make it
  claimed,      // an evaluation is making it
  ready,        // `data` holds it
  placeholder,  // stands for an argument while a function is traced; never has a value
};

struct Node {
  std::atomic<uint32_t> refs{1};
  std::atomic<State> state{State::recorded};
  Dtype dtype{};
  uint8_t output = 0;      // which output of a many-output call (see `pick`)
  bool contiguous = true;  // ready: row-contiguous
  Stream stream{};
  const Op* op = nullptr;
  Shape shape{};
  Params params{};
  Inputs inputs{};
  // The outputs of a many-output call: this node is the call, and `pick` nodes name one output.
  std::unique_ptr<std::vector<ArraySpec>> specs{};

  // Ready:
  void* data = nullptr;  // the first element
  BufferRef buffer{};    // null for a number kept inside the node
  Strides strides{};     // in elements; empty stands for those of a row-contiguous array
  alignas(8) std::byte number[8]{};

  // Used by walks that hold graph_mutex(); -1 outside them.
  int32_t mark = -1;
  Evaluation* evaluation = nullptr;  // while claimed

  int64_t size() const {
    int64_t n = 1;
    for (auto d : shape) n *= d;
    return n;
  }
};

inline void retain(Node* n) noexcept {
  if (n) n->refs.fetch_add(1, std::memory_order_relaxed);
}
void destroy(Node* n) noexcept;  // iterative: a chain of a million nodes is fine
inline void release(Node* n) noexcept {
  if (n && n->refs.fetch_sub(1, std::memory_order_acq_rel) == 1) destroy(n);
}

// Brings a node near that will be looked at soon. Between two tokens a model's weights pass through
// the caches, so a walk would wait for memory at each of a thousand nodes.
inline void prefetch(const Node* n) noexcept {
  constexpr size_t line = 64;
  for (size_t at = 0; at < sizeof(Node); at += line)
    __builtin_prefetch(reinterpret_cast<const char*>(n) + at);
}

// Guards the inputs, marks and claims of all nodes while somebody walks the graph. Short.
std::mutex& graph_mutex();

// While it lives, evaluations on this thread keep the history of what they compute: a function is
// being traced. Defined by the runtime, like array::eval.
class HistoryScope {
 public:
  HistoryScope();
  ~HistoryScope();
  HistoryScope(const HistoryScope&) = delete;
  HistoryScope& operator=(const HistoryScope&) = delete;
};

Node* new_node();
// A node in state `ready` with its own uninitialised memory.
array new_ready(Shape shape, Dtype dtype);
array new_placeholder(const ArraySpec& spec);
Strides row_strides(const Shape& shape);
Layout layout_of(const Node& n);
bool is_row_contiguous(const Shape& shape, const Strides& strides);

// Records a call with known results. Throws nothing: checks come before.
array record(const Op& op, Params params, Inputs in, Shape shape, Dtype dtype, StreamOrDevice s);
// Records a call; op.infer says shape and dtype.
array record(const Op& op, Params params, Inputs in, StreamOrDevice s);

}  // namespace tarn
