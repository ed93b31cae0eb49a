// Steps recorded as one CUDA graph: the card gets them at once, and between two that wait for each
// other passes a third of the time that it takes from one launch to the next.
#include "cuda/replay.h"

#include <cuda_runtime_api.h>

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "base/require.h"
#include "cuda/cards.h"
#include "cuda/device.h"
#include "cuda/node.h"

namespace tarn::cuda {
namespace {

using Nodes = std::vector<cudaGraphNode_t>;

// What launches put into a queue of their own, in the order of the steps.
struct Capture {
  cudaGraph_t graph = nullptr;
  // As many as were captured, when each step's nodes follow the one before. Nothing: not to be
  // changed, as what NCCL put there, whose parameters are its own.
  std::vector<std::optional<Nodes>> of_step{};
  bool communicates = false;

  Capture() = default;
  Capture(Capture&& other) noexcept
      : graph(std::exchange(other.graph, nullptr)),
        of_step(std::move(other.of_step)),
        communicates(other.communicates) {}
  ~Capture() {
    if (graph) cudaGraphDestroy(graph);
  }
};

// The queue of one capture. Other threads go on using the card's.
class CaptureQueue {
 public:
  CaptureQueue() : stream_(taken()) { set_queue_of_thread(stream_); }
  CaptureQueue(const CaptureQueue&) = delete;
  CaptureQueue& operator=(const CaptureQueue&) = delete;
  ~CaptureQueue() {
    set_queue_of_thread(nullptr);
    cudaGraph_t left = nullptr;  // when a launch threw in the middle
    if (capturing_ && cudaStreamEndCapture(stream_, &left) == cudaSuccess && left)
      cudaGraphDestroy(left);
    std::lock_guard lock(mutex());
    unused().push_back(stream_);  // to make one takes longer than a capture
  }
  void begin() {
    check(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeRelaxed), "a capture");
    capturing_ = true;
  }
  // The node that was put in last; null when there is none.
  cudaGraphNode_t last() const {
    cudaStreamCaptureStatus status{};
    const cudaGraphNode_t* nodes = nullptr;
    const cudaGraphEdgeData* edges = nullptr;  // it refuses to leave them out
    size_t count = 0;
    check(cudaStreamGetCaptureInfo(stream_, &status, nullptr, nullptr, &nodes, &edges, &count),
          "a capture");
    return count > 0 ? nodes[0] : nullptr;
  }
  cudaGraph_t end() {
    cudaGraph_t graph = nullptr;
    capturing_ = false;
    check(cudaStreamEndCapture(stream_, &graph), "a capture");
    return graph;
  }

 private:
  static std::mutex& mutex() {
    static auto* const m = new std::mutex;  // threads may evaluate while the program ends
    return *m;
  }
  static std::vector<cudaStream_t>& unused() {
    static auto* const all = new std::vector<cudaStream_t>;
    return *all;
  }
  static cudaStream_t taken() {
    std::lock_guard lock(mutex());
    unused().reserve(64);
    cudaStream_t stream = nullptr;
    if (unused().empty()) {
      check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "cudaStreamCreate");
      return stream;
    }
    stream = unused().back();
    unused().pop_back();
    return stream;
  }

  cudaStream_t stream_ = nullptr;
  bool capturing_ = false;
};

// The nodes behind `before` up to `end`, when each follows one other.
std::optional<Nodes> between(cudaGraphNode_t before, cudaGraphNode_t end) {
  constexpr size_t most = 64;  // of one step
  Nodes nodes;
  for (cudaGraphNode_t node = end; node != before;) {
    nodes.push_back(node);
    // Without room for what edges are, those of kernels that begin early are refused.
    cudaGraphNode_t found[2] = {};
    cudaGraphEdgeData edges[2] = {};
    size_t count = 2;
    if (cudaGraphNodeGetDependencies(node, found, edges, &count) != cudaSuccess || count > 1 ||
        (count == 0 && before) || nodes.size() > most)
      return std::nullopt;
    node = found[0];
  }
  std::reverse(nodes.begin(), nodes.end());
  return nodes;
}
size_t size_of(cudaGraph_t graph) {
  size_t count = 0;
  check(cudaGraphGetNodes(graph, nullptr, &count), "a graph");
  return count;
}

// Launches of the calling thread note what they meet there.
class FaultsScope {
 public:
  explicit FaultsScope(RecordedFaults& faults) { set_faults_of_thread(&faults); }
  FaultsScope(const FaultsScope&) = delete;
  FaultsScope& operator=(const FaultsScope&) = delete;
  ~FaultsScope() { set_faults_of_thread(nullptr); }
};

Capture capture(std::span<const size_t> steps, const std::function<void(size_t)>& launch,
                RecordedFaults& faults) {
  FaultsScope scope(faults);
  CaptureQueue queue;
  queue.begin();
  Capture c;
  Nodes ends;
  std::vector<bool> communicates;
  for (size_t s : steps) {
    size_t before = communications_made();
    launch(s);
    ends.push_back(queue.last());
    communicates.push_back(communications_made() != before);
    c.communicates = c.communicates || communicates.back();
  }
  c.graph = queue.end();
  size_t in_steps = 0;
  bool rows = true;
  for (size_t i = 0; i < ends.size(); ++i) {
    c.of_step.push_back(communicates[i] ? std::nullopt
                                        : between(i > 0 ? ends[i - 1] : nullptr, ends[i]));
    rows = rows && c.of_step.back();
    if (c.of_step.back()) in_steps += c.of_step.back()->size();
  }
  // NCCL's nodes stand where it likes; all others in one row.
  if (!c.communicates && (!rows || in_steps != size_of(c.graph))) c.of_step.clear();
  return c;
}

class Graph final : public Recording {
 public:
  Graph(Capture all, cudaGraphExec_t exec, std::shared_ptr<RecordedFaults> faults)
      : all_(std::move(all)), exec_(exec), faults_(std::move(faults)) {}
  ~Graph() override { cudaGraphExecDestroy(exec_); }
  void run() override {
    if (all_.communicates) require_communications("eval");
    note_run(faults_);
    std::lock_guard lock(workspace_mutex());
    check(cudaGraphLaunch(exec_, queue()), "a graph");
  }
  bool replace(std::span<const size_t> steps, const std::function<void(size_t)>& launch) override {
    for (size_t s : steps)
      if (!all_.of_step[s]) return false;
    Capture fresh = capture(steps, launch, *faults_);
    if (fresh.of_step.size() != steps.size()) return false;
    for (size_t i = 0; i < steps.size(); ++i) {
      const Nodes &was = *all_.of_step[steps[i]], &is = *fresh.of_step[i];
      if (was.size() != is.size()) return false;
      for (size_t k = 0; k < was.size(); ++k)
        if (!take_over(exec_, was[k], is[k])) return forget_error();
    }
    return true;
  }

 private:
  static bool forget_error() {
    cudaGetLastError();  // the next launch must not take it for its own
    return false;
  }
  Capture all_;
  cudaGraphExec_t exec_;
  std::shared_ptr<RecordedFaults> faults_;
};

}  // namespace

std::unique_ptr<Recording> record(size_t count, const std::function<void(size_t)>& launch) try {
  std::vector<size_t> steps(count);
  for (size_t i = 0; i < count; ++i) steps[i] = i;
  auto faults = std::make_shared<RecordedFaults>();
  Capture all = capture(steps, launch, *faults);
  cudaGraphExec_t exec = nullptr;
  require<DeviceError>(
      all.of_step.size() == count && cudaGraphInstantiate(&exec, all.graph, 0) == cudaSuccess,
      "[cuda] the steps do not make a graph.");
  return std::make_unique<Graph>(std::move(all), exec, std::move(faults));
} catch (const DeviceError&) {  // launched one by one they may do, or say what is wrong
  cudaGetLastError();
  return nullptr;
}

}  // namespace tarn::cuda
