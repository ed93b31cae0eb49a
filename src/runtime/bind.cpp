#include "runtime/bind.h"

#include "base/residency.h"
#include "runtime/rehearsal.h"

namespace tarn {
namespace {

BufferRef memory_for(const Plan& plan, size_t bytes) {
  if (auto* rehearsal = MemoryRehearsal::Impl::current()) return rehearsal->buffer(bytes);
  return BufferRef(plan.device ? allocate_on(*plan.device->memory, bytes) : allocate_buffer(bytes));
}

// A leaf's first element for the CPU. What it may overwrite is then on the host alone.
void* on_host(const GraphItem& item) {
  Node& n = *item.node;
  if (n.buffer && n.buffer->residency.load(std::memory_order_acquire)) {
    host_bytes(*n.buffer.get());
    if (item.donated) written_on(*n.buffer.get(), Side::host);
  }
  return n.data;
}

}  // namespace

void bind(Plan& plan, const GraphView& view) {
  plan.memory.clear();
  plan.bindings.buffers.clear();
  for (size_t bytes : plan.buffer_bytes) {
    plan.memory.push_back(memory_for(plan, bytes));
    plan.bindings.buffers.push_back(plan.memory.back()->data);
  }
  plan.bindings.leaves.resize(view.items.size());
  plan.bindings.params.resize(view.items.size());
  for (size_t i = 0; i < view.items.size(); ++i) {
    const GraphItem& item = view.items[i];
    plan.bindings.leaves[i] = !item.leaf ? nullptr : plan.device ? item.node->data : on_host(item);
    plan.bindings.params[i] = &item.node->params;
  }
  if (!plan.device) return;
  plan.bindings.owners.clear();
  for (const auto& item : view.items) plan.bindings.owners.push_back(item.node->buffer.get());
}

}  // namespace tarn
