#include "runtime/rehearsal.h"

#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <utility>

#include "base/require.h"
#include "base/thread_pool.h"
#include "base/zero_buffer.h"

namespace tarn {
namespace {

thread_local MemoryRehearsal::Impl* current_rehearsal = nullptr;

size_t rounded_up(size_t bytes, size_t to) { return (bytes + to - 1) / to * to; }

// Of 2 MiB, as they are beside pages of 4 KiB: beside those of 64 KiB they have 512.
bool has_huge_pages() {
  static const bool has = [] {
    const std::string folder = "/sys/kernel/mm/transparent_hugepage/";
    std::ifstream in(folder + "enabled"), size_in(folder + "hpage_pmd_size");
    std::string modes;
    std::getline(in, modes);
    size_t size = 0;
    if (!(size_in >> size)) size = huge_page;
    return !modes.empty() && modes.find("[never]") == std::string::npos && size == huge_page;
  }();
  return has;
}

// The pages that writing `bytes` of a block of its size class brings in.
size_t written_pages(size_t bytes) {
  size_t block = class_of(bytes).bytes;
  if (block < huge_from || !has_huge_pages()) return rounded_up(bytes, block_slack);
  static const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  size_t in_huge = block / huge_page * huge_page;
  return bytes <= in_huge ? rounded_up(bytes, huge_page)
                          : in_huge + rounded_up(bytes - in_huge, page);
}

// What a block gives back when the last array in it is gone.
struct Release {
  std::shared_ptr<BufferLedger> ledger{};
  BufferRef zeros{};
  size_t bytes = 0, written = 0;
  void operator()(void*) const { ledger->release(bytes, written); }
};

size_t memory_of(const Plan& plan) {
  size_t bytes = sizeof plan + plan.inputs_at.capacity() * sizeof(PlanOperand);
  size_t inputs = 0;
  for (const PlanStep& s : plan.steps) {
    bytes += sizeof s + sizeof(StepRun) + s.shapes.capacity() * sizeof(Operand) +
             s.at.capacity() * sizeof(PlanOperand) + s.what.capacity();
    inputs += s.shapes.size() - 1;
  }
  auto workers = static_cast<size_t>(plan.shared ? thread_count() : 1);
  bytes += workers * (inputs * sizeof(Operand) + plan.steps.size() * sizeof(Step));
  return bytes + inputs * sizeof(PlanOperand);
}

}  // namespace

size_t BufferLedger::allocate(size_t bytes) {
  auto [index, rounded] = class_of(bytes);
  std::lock_guard lock(mutex_);
  auto& list = free_[static_cast<size_t>(index)];
  size_t before = 0, written = written_pages(bytes);
  if (!list.empty()) {
    before = list.back();
    list.pop_back();
    kept_ -= rounded;
  }
  written = std::max(written, before);
  held_ += written - before;
  peak_ = std::max(peak_, held_);
  return written;
}

void BufferLedger::release(size_t bytes, size_t written) {
  auto [index, rounded] = class_of(bytes);
  std::lock_guard lock(mutex_);
  if (kept_ + rounded <= memory_counters().cache_limit) {
    free_[static_cast<size_t>(index)].push_back(written);
    kept_ += rounded;
  } else {
    held_ -= written;
  }
}

size_t BufferLedger::peak() const {
  std::lock_guard lock(mutex_);
  return peak_;
}

MemoryRehearsal::Impl* MemoryRehearsal::Impl::current() { return current_rehearsal; }

BufferRef MemoryRehearsal::Impl::buffer(size_t bytes) {
  if (!zeros || bytes > zeros->bytes)
    zeros = zero_buffer(std::max(bytes, zeros ? 2 * zeros->bytes : bytes));
  size_t written = ledger->allocate(bytes);
  return BufferRef(adopt_buffer(zeros->data, bytes, Release{ledger, zeros, bytes, written}));
}

void MemoryRehearsal::Impl::run(const Hash& key, const Plan& plan) {
  auto workers = static_cast<size_t>(plan.shared ? thread_count() : 1);
  if (size_t bytes = plan.slab_bytes + plan.own_bytes * workers; bytes > 0)
    ledger->release(bytes, ledger->allocate(bytes));
  if (!plans.contains(key)) plans.emplace(key, memory_of(plan));
}

bool MemoryRehearsal::Impl::owns(const Buffer& buffer) {
  return buffer.release.target<Release>() != nullptr;
}

MemoryRehearsal::MemoryRehearsal() : impl_(std::make_unique<Impl>()) {
  impl_->outer = std::exchange(current_rehearsal, impl_.get());
}
MemoryRehearsal::~MemoryRehearsal() { current_rehearsal = impl_->outer; }

size_t MemoryRehearsal::peak() const { return impl_->ledger->peak(); }
size_t MemoryRehearsal::plans() const {
  size_t bytes = 0, largest = 0;
  for (const auto& [key, of_plan] : impl_->plans) {
    bytes += of_plan;
    largest = std::max(largest, of_plan);
  }
  // While one is made, its graph, that graph lowered and lists that outgrew their room take as much
  // again; the C library keeps it for the next.
  return bytes + largest;
}

}  // namespace tarn
