#include "graph/node.h"

#include <cstdlib>
#include <cstring>

#include "base/require.h"

namespace tarn {
namespace {

// Nodes come from per-thread free lists: a graph of a thousand nodes costs no malloc when the one
// before it was freed on the same thread. The address sanitizer sees a node that is used after its
// end only when it is given back.
#if defined(__SANITIZE_ADDRESS__)
constexpr size_t kept_nodes = 0;
#else
constexpr size_t kept_nodes = 4096;
#endif

// Arrays may outlive their thread's list: static ones are destroyed after it.
thread_local bool list_is_gone = false;
// A block's first bytes lead to the next one: giving a node back needs no memory.
struct FreeNodes {
  void* first = nullptr;
  size_t count = 0;
  void push(void* block) {
    std::memcpy(block, &first, sizeof first);
    first = block;
    ++count;
  }
  void* pop() {
    void* block = first;
    std::memcpy(&first, block, sizeof first);
    --count;
    return block;
  }
  ~FreeNodes() {
    list_is_gone = true;
    while (count > 0) std::free(pop());
  }
};
thread_local FreeNodes free_nodes;
// The first of the nodes that wait, while a thread destroys some: nested releases are queued
// instead of recursing. Nobody claims a dying node, so `evaluation` leads to the next one.
thread_local Node** doomed = nullptr;

void free_node(Node* n) noexcept {
  for (const auto& x : n->inputs) prefetch(x.node());
  n->~Node();
  if (!list_is_gone && free_nodes.count + 1 <= kept_nodes)
    free_nodes.push(n);
  else
    std::free(n);
}

}  // namespace

const char* name_of(Kind k) {
  constexpr const char* names[] = {"elementwise",   "reduction", "movement", "contraction",
                                   "decomposition", "fused",     "source"};
  return names[static_cast<int>(k)];
}

std::mutex& graph_mutex() {
  static auto* const m = new std::mutex;
  return *m;
}

Node* new_node() {
  void* p = nullptr;
  if (!list_is_gone && free_nodes.count > 0) {
    p = free_nodes.pop();
  } else {
    p = std::aligned_alloc(64, (sizeof(Node) + 63) / 64 * 64);
    require<DeviceError>(p != nullptr, "[memory] no memory for one more graph node.");
  }
  return new (p) Node;
}

void destroy(Node* n) noexcept {
  if (doomed) {
    n->evaluation = reinterpret_cast<Evaluation*>(*doomed);
    *doomed = n;
    return;
  }
  Node* first = n;
  n->evaluation = nullptr;
  doomed = &first;
  while (first) {
    Node* dying = first;
    first = reinterpret_cast<Node*>(dying->evaluation);
    free_node(dying);  // releases its inputs, which lands in the queue
  }
  doomed = nullptr;
}

Strides row_strides(const Shape& shape) {
  Strides strides(shape.size());
  int64_t step = 1;
  for (size_t i = shape.size(); i-- > 0;) {
    strides[i] = step;
    step *= std::max<int64_t>(shape[i], 1);
  }
  return strides;
}

bool is_row_contiguous(const Shape& shape, const Strides& strides) {
  int64_t step = 1;
  for (size_t i = shape.size(); i-- > 0;) {
    if (shape[i] == 0) return true;
    if (shape[i] != 1 && strides[i] != step) return false;
    step *= shape[i];
  }
  return true;
}

Layout layout_of(const Node& n) {
  return {n.shape, n.contiguous ? row_strides(n.shape) : n.strides, 0};
}

array new_ready(Shape shape, Dtype dtype) {
  array owner(new_node());
  Node* n = owner.node();
  n->dtype = dtype;
  n->shape = std::move(shape);
  n->buffer = BufferRef(allocate_buffer(static_cast<size_t>(n->size()) * dtype.size));
  n->data = n->buffer->data;
  n->state = State::ready;
  return owner;
}

array new_placeholder(const ArraySpec& spec) {
  array owner(new_node());
  Node* n = owner.node();
  n->dtype = spec.dtype;
  n->shape = spec.shape;
  n->state = State::placeholder;
  return owner;
}

array record(const Op& op, Params params, Inputs in, Shape shape, Dtype dtype,
             StreamOrDevice s) {
  array owner(new_node());
  Node* n = owner.node();
  n->op = &op;
  n->params = std::move(params);
  n->inputs = std::move(in);
  n->shape = std::move(shape);
  n->dtype = dtype;
  n->stream = to_stream(s);
  return owner;
}

array record(const Op& op, Params params, Inputs in, StreamOrDevice s) {
  ArraySpec spec = op.infer(params, in);
  return record(op, std::move(params), std::move(in), std::move(spec.shape), spec.dtype, s);
}

}  // namespace tarn
