// Memory told without loading: the weights by their shapes, answers by a rehearsal.
#include "tarn/lm/plan.h"

#include <malloc.h>

#include <algorithm>

#include "base/require.h"
#include "lm/generation/decode.h"
#include "lm/load/room.h"
#include "tarn/memory.h"
#include "tarn/ops.h"
#include "tarn/stop.h"

namespace tarn::lm {
namespace {

constexpr int64_t context_without_limit = 4096;  // for models that name no context
constexpr int64_t most_answers = 15;             // an Engine's

// Bytes of the heap in use.
uint64_t heap_in_use() {
#if defined(__GLIBC__)
  auto all = mallinfo2();
  return all.uordblks + all.hblkhd;
#else
  return 0;
#endif
}

PlanOptions checked(PlanOptions o, const ModelShape& shape) {
  check(o.parameters);
  require(o.context == 0 || o.context >= 2,
          "[plan] context is {}; at least 2 positions are needed, or 0 for the model's own.",
          o.context);
  if (o.context == 0) o.context = shape.context > 0 ? shape.context : context_without_limit;
  if (shape.context > 0 && !o.parameters.max_kv_size)
    o.context = std::min(o.context, shape.context);
  require(o.batch >= 1 && o.batch <= most_answers, "[plan] batch is {}; it must be from 1 to {}.",
          o.batch, most_answers);
  o.parameters.prefill.progress = nullptr;
  return o;
}

void say_one(const LanguageModel& lm, const PlanOptions& o, Pass& rows) {
  StopScope stop(o.parameters.stop);
  auto count = static_cast<int>(rows.rows.size());
  compute(lm, o.parameters.precision, zeros({count, 1}, int32), rows);
}

// Prompts one after the other, then a token of all at once. Of several, the first says one before
// that, alone, as while the others wait for their prompts.
uint64_t rehearse(const LanguageModel& lm, const PlanOptions& o) {
  bool several = o.batch > 1;
  int64_t tokens = std::max<int64_t>(1, o.context - (several ? 2 : 1));
  std::vector<int32_t> prompt(static_cast<size_t>(tokens), 0);
  Pass together;
  for (int64_t i = 0; i < o.batch; ++i) {
    Session session;
    Decoder decoder(lm, o.parameters, session);
    int known = 0;
    decoder.prefill(prompt, known);
    if (several && i == 0) say_one(lm, o, session.pass);
    together.rows.push_back(std::move(session.pass.rows[0]));
  }
  say_one(lm, o, together);
  uint64_t bytes = 0;
  for (const Cache& row : together.rows) bytes += row.nbytes();
  return bytes;
}

}  // namespace

MemoryPlan plan_of(const ModelFiles& files, LanguageModel lm, const PlanOptions& options) {
  Outline outline = files.outline();
  MemoryPlan plan{.name = lm.name,
                  .mapped = outline.mapped,
                  .mapped_used = outline.mapped_used,
                  .weights = outline.weights};
  lm.model = build_model(std::move(outline.checkpoint));
  const ModelShape shape = lm.model.shape();
  PlanOptions o = checked(options, shape);
  plan.context = o.context, plan.batch = o.batch;
  MemoryRehearsal rehearsal;
  plan.cache = rehearse(lm, o);
  auto logits = static_cast<uint64_t>(o.batch * shape.vocabulary) * sizeof(float);
  plan.workspace = rehearsal.peak() - plan.cache + rehearsal.plans() + logits;
  return plan;
}

MemoryPlan plan(const std::filesystem::path& path, const PlanOptions& options) {
  ModelFiles files = open_model(path);
  uint64_t before = heap_in_use();
  LanguageModel lm = files.about();
  uint64_t tokenizer = heap_in_use() - before;
  MemoryPlan plan = plan_of(files, std::move(lm), options);
  plan.tokenizer = tokenizer;
  return plan;
}

}  // namespace tarn::lm
