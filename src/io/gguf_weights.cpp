#include "io/gguf_weights.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <exception>
#include <thread>

#include "base/printable.h"
#include "base/signals_blocked.h"
#include "io/fresh_array.h"
#include "io/gguf_blocks.h"
#include "io/gguf_header.h"
#include "tarn/stop.h"

namespace tarn::io {
namespace {

// A thread takes this much of a file at a time: some 0.1 ms of work.
constexpr size_t bytes_a_task = size_t{1} << 20;

std::optional<Dtype> dense_dtype(GgmlType type) {
  switch (type) {
    case GgmlType::f32:
      return float32;
    case GgmlType::f16:
      return float16;
    case GgmlType::bf16:
      return bfloat16;
    case GgmlType::f64:
      return float64;
    case GgmlType::i8:
      return int8;
    case GgmlType::i16:
      return int16;
    case GgmlType::i32:
      return int32;
    case GgmlType::i64:
      return int64;
    default:
      return std::nullopt;
  }
}

array adopt(Arena::Part part, Shape shape, Dtype dtype) {
  return array(part.data, std::move(shape), dtype, [block = std::move(part.block)](void*) {});
}

// One weight on its way: where its numbers go, and how a range of its rows is made.
class Weight {
 public:
  Weight(const GgufTensor& tensor, std::vector<int64_t> order, const std::string& path,
         Arena& arena)
      : tensor_(tensor), order_(std::move(order)) {
    check_order();
    int64_t bits = affine_bits(tensor.type);
    auto count = static_cast<size_t>(tensor.rows() * tensor.columns());
    if (bits) {
      size_t groups = count / affine_group;
      codes_ = arena.allocate(groups * affine_group / 8 * static_cast<size_t>(bits));
      scales_ = arena.allocate(groups * sizeof(uint16_t));
      biases_ = arena.allocate(groups * sizeof(uint16_t));
    } else if (auto dtype = dense_dtype(tensor.type)) {
      dense_ = *dtype;
      if (!order_.empty()) codes_ = arena.allocate(tensor.bytes.size());
    } else {
      require<FileError>(can_decode(tensor.type),
                         "[load] {}: tensor \"{}\" is {}, which cannot be read. Convert the model "
                         "to Q4_1, Q8_0, F16 or a K-quant type.",
                         printable(path, 4096), printable(tensor.name), name_of(tensor.type));
      codes_ = arena.allocate(count * sizeof(float16_t));
    }
  }

  // Nothing is to be done for a weight that lies in the file as it is.
  int64_t rows_to_do() const { return codes_.data ? tensor_.rows() : 0; }
  int64_t rows_a_task() const {
    size_t row = tensor_.bytes.size() / static_cast<size_t>(tensor_.rows());
    return std::max<int64_t>(1, static_cast<int64_t>(bytes_a_task / std::max<size_t>(row, 1)));
  }

  void work(int64_t begin, int64_t end) {
    RowRange rows{begin, end, order_};
    if (dense_) {
      copy_rows(rows);
    } else if (scales_.data) {
      AffineRows to{reinterpret_cast<uint32_t*>(codes_.data),
                    reinterpret_cast<uint16_t*>(scales_.data),
                    reinterpret_cast<uint16_t*>(biases_.data)};
      if (!repack(tensor_, rows, to)) exact_ = false;
    } else {
      decode(tensor_, rows, reinterpret_cast<float16_t*>(codes_.data));
    }
  }

  // Once all rows are done.
  GgufWeight finish(const std::shared_ptr<const FileBytes>& file) {
    const Shape& shape = tensor_.shape;
    if (dense_ && !codes_.data) return alias(file, tensor_.bytes, shape, *dense_);
    if (dense_) return adopt(std::move(codes_), shape, *dense_);
    if (!scales_.data) return adopt(std::move(codes_), shape, float16);
    if (!exact_) return decoded();
    GgufQuantised q;
    q.bits = affine_bits(tensor_.type);
    q.group_size = affine_group;
    Shape groups = shape, words = shape;
    groups.back() = tensor_.columns() / affine_group;
    words.back() = tensor_.columns() / 32 * q.bits;
    q.weight = adopt(std::move(codes_), words, uint32);
    q.scales = adopt(std::move(scales_), groups, float16);
    q.biases = adopt(std::move(biases_), groups, float16);
    return q;
  }

 private:
  void check_order() const {
    if (order_.empty()) return;
    auto rows = static_cast<size_t>(tensor_.rows());
    require(order_.size() == rows,
            "[load_gguf] the row order of \"{}\" has {} rows, {} are needed.",
            printable(tensor_.name), order_.size(), rows);
    for (int64_t row : order_)
      require(row >= 0 && static_cast<size_t>(row) < rows,
              "[load_gguf] the row order of \"{}\" names row {} of {}.", printable(tensor_.name),
              row, rows);
  }

  void copy_rows(const RowRange& rows) {
    size_t bytes = tensor_.bytes.size() / static_cast<size_t>(tensor_.rows());
    for (int64_t row = rows.begin; row < rows.end; ++row)
      std::memcpy(codes_.data + static_cast<size_t>(row) * bytes,
                  tensor_.bytes.data() + static_cast<size_t>(rows.source(row)) * bytes, bytes);
  }

  array decoded() const {
    FreshArray numbers(tensor_.shape, float32);
    decode(tensor_, RowRange{0, tensor_.rows(), order_}, numbers.as<float>());
    return numbers.take();
  }

  const GgufTensor& tensor_;
  std::vector<int64_t> order_;
  std::optional<Dtype> dense_{};
  Arena::Part codes_{}, scales_{}, biases_{};
  std::atomic<bool> exact_{true};
};

struct Task {
  Weight* weight = nullptr;
  int64_t begin = 0;
  int64_t end = 0;
};

std::vector<Task> tasks_of(const std::vector<std::unique_ptr<Weight>>& weights) {
  std::vector<Task> tasks;
  for (const auto& w : weights)
    for (int64_t row = 0, rows = w->rows_to_do(), step = w->rows_a_task(); row < rows; row += step)
      tasks.push_back(Task{w.get(), row, std::min(rows, row + step)});
  return tasks;
}

// The first error of a worker is thrown once all of them have stopped.
void run(const std::vector<Task>& tasks, size_t threads) {
  std::atomic<size_t> next{0};
  std::atomic<bool> failed{false};
  std::exception_ptr error;
  const std::stop_token stop = StopScope::current();
  auto worker = [&] {
    try {
      for (size_t i = next++; i < tasks.size() && !failed; i = next++) {
        require<Cancelled>(!stop.stop_requested(), "[load] stopped on request.");
        tasks[i].weight->work(tasks[i].begin, tasks[i].end);
      }
    } catch (...) {
      if (!failed.exchange(true)) error = std::current_exception();
    }
  };
  std::vector<std::thread> others;
  try {
    SignalsBlocked blocked;
    for (size_t i = 1; i < std::min(threads, tasks.size()); ++i) others.emplace_back(worker);
  } catch (const std::system_error&) {
    // The system gives no more threads; those there are do the work.
  }
  worker();
  for (auto& t : others) t.join();
  if (error) std::rethrow_exception(error);
}

}  // namespace

namespace {

std::vector<std::unique_ptr<Weight>> begun(const std::shared_ptr<const FileBytes>& file,
                                           std::span<const GgufTensor> tensors,
                                           const GgufRowOrder& order, Arena& arena) {
  std::vector<std::unique_ptr<Weight>> weights;
  for (const auto& t : tensors)
    weights.push_back(std::make_unique<Weight>(t, order ? order(t) : std::vector<int64_t>{},
                                               file->path(), arena));
  return weights;
}

std::vector<GgufWeight> finished(const std::vector<std::unique_ptr<Weight>>& weights,
                                 const std::shared_ptr<const FileBytes>& file) {
  std::vector<GgufWeight> done;
  for (const auto& w : weights) done.push_back(w->finish(file));
  return done;
}

}  // namespace

std::vector<GgufWeight> load_weights(const std::shared_ptr<const FileBytes>& file,
                                     std::span<const GgufTensor> tensors, const GgufRowOrder& order,
                                     int threads) {
  if (threads <= 0) threads = static_cast<int>(std::min(8u, std::thread::hardware_concurrency()));
  Arena arena;
  auto weights = begun(file, tensors, order, arena);
  run(tasks_of(weights), static_cast<size_t>(std::max(threads, 1)));
  return finished(weights, file);
}

std::vector<GgufWeight> outline_weights(const std::shared_ptr<const FileBytes>& file,
                                        std::span<const GgufTensor> tensors,
                                        const GgufRowOrder& order, size_t& memory_bytes) {
  Arena arena(Arena::Use::outline);
  auto weights = begun(file, tensors, order, arena);
  memory_bytes = arena.bytes();
  return finished(weights, file);
}

}  // namespace tarn::io
