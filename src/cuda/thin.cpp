// Products of float32 matrices of which one is thin: steps turned into calls of thin.cu.
#include "cuda/thin.h"

#include <algorithm>

#include "cuda/device.h"
#include "cuda/layout.h"
#include "cuda/table.h"
#include "ops/compound.h"

namespace tarn::cuda {
namespace {

constexpr int64_t least_rows = 256, least_cols = 128;  // below, the library is as good

bool off_line(const void* p) { return reinterpret_cast<uintptr_t>(p) % 16 != 0; }
bool are_floats(const Step& s) {
  return s.out.dtype == float32 && s.out.shape.size() == 2 && s.in[0].shape.size() == 2 &&
         s.in[1].shape.size() == 2 && s.out.size() > 0;
}
// Rows of x from multiples of 16 bytes on.
bool lies_in_rows(const Operand& x, int row_axis) {
  int64_t row = stride_at(x, row_axis), col = stride_at(x, 3 - row_axis);
  return col == 1 && row >= size_at(x, 3 - row_axis) && row % 4 == 0 &&
         size_at(x, 3 - row_axis) % 4 == 0;
}
void set_x(ThinCall& c, const Operand& x, int row_axis) {
  c.x = x.as<const float>();
  c.rows = size_at(x, row_axis), c.cols = size_at(x, 3 - row_axis), c.lead = stride_at(x, row_axis);
}
void set_b(ThinCall& c, const Operand& b, int row_axis) {
  c.b = b.as<const float>();
  c.b_row = stride_at(b, row_axis), c.b_col = stride_at(b, 3 - row_axis);
  c.width = static_cast<int>(size_at(b, 3 - row_axis));
}

// x b with x as its rows lie, b thin.
bool takes_thin(const Step& s) {
  return are_floats(s) && size_at(s.out, 1) <= most_thin && size_at(s.in[0], 2) >= least_rows &&
         size_at(s.in[0], 1) >= least_cols && lies_in_rows(s.in[0], 2);
}
ThinCall thin_call(const Step& s) {
  ThinCall c;
  set_x(c, s.in[0], 2), set_b(c, s.in[1], 2);
  c.y = s.out.as<float>(), c.y_row = c.width, c.y_col = 1;
  return c;
}

template <ThinCall (*call)(const Step&), void (*launch)(const ThinCalls&, cudaStream_t)>
void run_together(std::span<const Step> steps) {
  ThinCalls calls;
  for (const Step& s : steps) calls.of[calls.count++] = call(s);
  if (off_line(calls.of[0].x)) {
    for (const Step& s : steps) multiply_dense(s);
    return;
  }
  launch(calls, queue());
  check(cudaGetLastError(), "a launch");
}
constexpr auto run_joined_thin = run_together<thin_call, launch_thin>;
void run_thin(const Step& s, int, int) { run_joined_thin({&s, 1}); }
bool joins_thin(const Step& first, const Step& other) {
  return size_at(first.out, 1) <= 8 && size_at(other.out, 1) <= 8;
}

// x^T b, or what is that turned.
bool is_turned(const Step& s) {
  return size_at(s.out, 1) <= most_thin && lies_in_rows(s.in[0], 1) &&
         size_at(s.in[0], 1) >= least_rows && size_at(s.in[0], 2) >= least_cols;
}
bool is_behind(const Step& s) {
  return size_at(s.out, 2) <= most_thin && lies_in_rows(s.in[1], 2) &&
         size_at(s.in[1], 2) >= least_rows && size_at(s.in[1], 1) >= least_cols;
}
bool takes_turned(const Step& s) { return are_floats(s) && (is_turned(s) || is_behind(s)); }
ThinCall turned_call(const Step& s) {
  ThinCall c;
  c.y = s.out.as<float>(), c.scratch = static_cast<float*>(s.scratch);
  if (is_turned(s)) {
    set_x(c, s.in[0], 1), set_b(c, s.in[1], 2);
    c.y_row = c.width, c.y_col = 1;
  } else {
    set_x(c, s.in[1], 2), set_b(c, s.in[0], 1);
    c.y_row = 1, c.y_col = c.cols;
  }
  constexpr int64_t cols_a_block = 512, blocks_a_processor = 3, least_rows_a_part = 32;
  int64_t blocks = (c.cols + cols_a_block - 1) / cols_a_block;
  int64_t parts = (card()->processors * blocks_a_processor + blocks - 1) / blocks;
  c.parts = static_cast<int>(std::clamp<int64_t>(parts, 1, c.rows / least_rows_a_part));
  return c;
}
size_t turned_scratch(const Step& s, int) {
  ThinCall c = turned_call(s);
  return static_cast<size_t>(c.parts * c.cols * c.width) * sizeof(float);
}
constexpr auto run_joined_turned = run_together<turned_call, launch_thin_turned>;
void run_turned(const Step& s, int, int) { run_joined_turned({&s, 1}); }
bool joins_turned(const Step& first, const Step& other) {
  return is_turned(first) && is_turned(other) && joins_thin(first, other);
}

}  // namespace

void add_thin(KernelTable& t) {
  const Op& op = ops::op_of<ops::Matmul>;
  t.add(op, {.run = run_thin,
             .fits = takes_thin,
             .accepts = Accepts::any,
             .joins = joins_thin,
             .run_joined = run_joined_thin,
             .shares = 0b1,
             .name = "a few columns"});
  t.add(op, {.run = run_turned,
             .fits = takes_turned,
             .accepts = Accepts::any,
             .scratch = turned_scratch,
             .joins = joins_turned,
             .run_joined = run_joined_turned,
             .shares = 0b1,
             .name = "a few columns, of parts"});
}

}  // namespace tarn::cuda
