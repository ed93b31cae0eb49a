// The run: batches to steps, judging, checkpoints, and when to end.
#include <chrono>
#include <cmath>
#include <set>

#include "base/file.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/require.h"
#include "lm/train/checkpoint.h"
#include "lm/train/step.h"
#include "lm/train/team.h"
#include "tarn/memory.h"
#include "tarn/ops.h"
#include "tarn/random.h"

namespace tarn::lm {
namespace {

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

bool is_adapter_parameter(const std::string& path) {
  return path.ends_with(".lora_a") || path.ends_with(".lora_b");
}

NamedParameters chosen_parameters(const LanguageModel& lm, const nn::Where& where) {
  Model model = lm.model;
  bool has_adapters = false;
  model.parameters([&](const std::string& path, array&) {
    has_adapters = has_adapters || is_adapter_parameter(path);
  });
  auto is_wanted = [&](const std::string& path, const array& a) {
    if (where) return where(path, a);
    // A magnitude of DoRA stands beside the others; no layer has another parameter of that name.
    return !has_adapters || is_adapter_parameter(path) || path.ends_with(".m");
  };
  std::set<std::string> quantised;
  model.matrices([&](const std::string& path, nn::Matrix& m) {
    if (m.quantised()) quantised.insert(path);
  });
  NamedParameters chosen;
  model.parameters([&](const std::string& path, array& a) {
    size_t dot = path.rfind('.');
    std::string name = path.substr(dot + 1);
    bool is_code = (name == "weight" || name == "scales" || name == "biases") &&
                   quantised.count(path.substr(0, dot)) > 0;
    if (issubdtype(a.dtype(), floating) && !is_code && is_wanted(path, a))
      chosen.emplace(path, astype(a, float32));
  });
  return chosen;
}

uint64_t fingerprint(const TrainSet& set) {
  Hash hash;
  for (const TrainSample& s : set.samples) {
    hash.add(s.ids.size());
    for (size_t i = 0; i < s.ids.size(); ++i)
      hash.add(static_cast<uint64_t>(s.ids[i]) * 2 + s.counts[i]);
  }
  return hash.a;
}

NamedParameters zeros_of(const NamedParameters& like) {
  NamedParameters zeros = like;
  for (auto& [path, a] : zeros) a = zeros_like(a);
  return zeros;
}

}  // namespace

struct Trainer::Impl {
  LanguageModel lm;
  TrainData data;
  TrainOptions o;
  Team team;
  TrainState state{};  // its arrays packed
  Packed packed{};
  int64_t batches_an_epoch = 0, steps = 0;
  std::string course{};  // what decides a run's numbers: a checkpoint serves runs of one only
  TrainStep parts;
  BatchLosses losses;
  std::vector<Rows> batches{}, valid_batches{};  // of the epoch; all that are judged by
  int64_t batches_of = -1;                       // the epoch they are of
  TrainProgress progress{};

  Impl(LanguageModel model, TrainData d, TrainOptions options, const nn::Where& where)
      : lm(std::move(model)),
        data(std::move(d)),
        o(std::move(options)),
        team(o.group),
        state{.parameters = chosen_parameters(lm, where)},
        packed(can_be_packed(o) ? Packed(state.parameters) : Packed()),
        batches_an_epoch(checked_batches()),
        steps(o.steps > 0 ? o.steps : steps_of_epochs()),
        course(course_text()),
        parts(lm.model, o, steps, packed),
        losses(lm.model, o.compute) {
    require(!state.parameters.empty(),
            "[train] {} has no parameter that can be trained: quantised weights cannot. Put "
            "adapters on it (lora), or take a model with dense weights.",
            lm.name);
    state.parameters = packed.packed(state.parameters);
    eval(state.parameters);
    state.optimizer = parts.optimizer.init(state.parameters);
    valid_batches = plain_batches(data.valid, o.batch_size);
    if (o.validation_batches > 0 &&
        valid_batches.size() > static_cast<size_t>(o.validation_batches))
      choose_valid_batches();
  }

  int64_t checked_batches() const {
    check(o);
    require(!data.train.samples.empty(), "[train] there are no examples to train on.");
    return static_cast<int64_t>(epoch_batches(data.train, o.batch_size, o.seed, 0).size());
  }
  int64_t steps_of_epochs() const {
    double all = std::ceil(static_cast<double>(batches_an_epoch) * o.epochs / o.accumulate);
    require(all < 1e12, "[train] epochs is {}; that makes {} steps.", o.epochs, all);
    return std::max<int64_t>(static_cast<int64_t>(all), 1);
  }
  // Of all lengths alike.
  void choose_valid_batches() {
    auto wanted = static_cast<size_t>(o.validation_batches);
    std::vector<Rows> some;
    for (size_t i = 0; i < wanted; ++i)
      some.push_back(valid_batches[i * valid_batches.size() / wanted]);
    valid_batches = std::move(some);
  }

  int64_t steps_per_eval() const {
    return o.steps_per_eval > 0 ? o.steps_per_eval : std::max<int64_t>(steps / 10, 1);
  }
  int64_t steps_per_save() const {
    return o.steps_per_save > 0 ? o.steps_per_save : steps_per_eval();
  }

  std::string course_text() const {
    Json all{{"optimizer", o.optimizer},
             {"learning_rate", o.learning_rate},
             {"weight_decay", o.weight_decay},
             {"schedule", o.schedule},
             {"end_share", o.end_share},
             {"warmup", o.warmup},
             {"clip", o.clip},
             {"steps", steps},
             {"batch_size", o.batch_size},
             {"accumulate", o.accumulate},
             {"steps_per_eval", steps_per_eval()},
             {"validation_batches", o.validation_batches},
             {"patience", o.patience},
             {"seed", o.seed},
             {"tokens_at_once", o.tokens_at_once},
             {"compute", o.compute == ComputeIn::float32 ? "float32" : "bfloat16"},
             {"about", o.about},
             {"train_data", fingerprint(data.train)},
             {"valid_data", fingerprint(data.valid)}};
    if (team) all["ranks"] = team.size();
    return all.dump();
  }

  NamedParameters parameters() const { return packed.named(state.parameters); }
  // The state as a checkpoint has it, and back.
  TrainState named_state() const {
    TrainState named = state;
    named.parameters = parameters(), named.best = packed.named(state.best);
    named.optimizer = packed.named_state(state.optimizer);
    return named;
  }
  void set_state(TrainState named) {
    state = std::move(named);
    state.parameters = packed.packed(state.parameters), state.best = packed.packed(state.best);
    state.optimizer = packed.packed_state(state.optimizer);
  }

  const Rows& next_rows() {
    if (batches_of != state.epoch) {
      batches = epoch_batches(data.train, o.batch_size, o.seed, state.epoch);
      batches_of = state.epoch;
    }
    size_t at = static_cast<size_t>(state.batch);
    if (++state.batch == batches_an_epoch) state.batch = 0, ++state.epoch;
    return batches[at];
  }

  [[noreturn]] void fail_not_finite(const std::vector<Rows>& rows, double loss, double norm) {
    for (const Rows& some : rows)
      for (size_t r : some)
        if (!std::isfinite(losses(parameters(), data.train, {r})[0].loss))
          fail<DivergedError>(
              "[train] step {}: the loss of {} is not a finite number. Look at that example, or "
              "lower the learning rate ({} now).",
              state.step + 1, data.train.place(r), o.learning_rate);
    fail<DivergedError>(
        "[train] step {}: the loss is {} and the norm of its gradient {}, in a batch from {} on. "
        "Lower the learning rate ({} now).",
        state.step + 1, loss, norm, data.train.place(rows[0][0]), o.learning_rate);
  }

  // In the order of valid_batches, this rank's rows of them.
  [[noreturn]] void fail_not_finite(const std::vector<SampleLoss>& judged, double loss) const {
    size_t at = 0;
    for (const Rows& rows : valid_batches)
      for (size_t r : team.share_of(rows))
        if (!std::isfinite(judged[at++].loss))
          fail<DivergedError>(
              "[train] step {}: the validation loss of {} is not a finite number. Look at that "
              "example, or lower the learning rate ({} now).",
              state.step, data.valid.place(r), o.learning_rate);
    fail<DivergedError>(
        "[train] step {}: the validation loss is {}. Lower the learning rate ({} now).", state.step,
        loss, o.learning_rate);
  }

  // A step, or none when it fails.
  TrainEvent take_step() {
    double start = now();
    TrainState before = state;
    try {
      return taken_step(start);
    } catch (...) {
      state = std::move(before);
      throw;
    }
  }
  void add_gradients(const Rows& rows, NamedParameters& sums, TrainEvent& event) {
    Batch batch = make_batch(data.train, rows);
    // What was computed so far tells this step's parts apart.
    array key = random::key((o.seed * 1000003 + static_cast<uint64_t>(state.step)) * 1000003 +
                            static_cast<uint64_t>(event.computed * team.size() + team.rank()));
    auto [loss, gradients] = parts.gradients(state.parameters, batch, key);
    sums = sums.empty() ? gradients : parts.add(sums, gradients);
    eval(loss, sums);
    event.loss += static_cast<double>(loss.item<float>());
    event.tokens += batch.counted;
    for (size_t r : rows)
      event.computed += static_cast<int64_t>(data.train.samples[r].ids.size()) - 1;
  }
  // What the ranks have of a step, together. One that has no rows brings zeros.
  void add_up(NamedParameters& sums, TrainEvent& event) const {
    if (!team) return;
    sums = team.sums(sums.empty() ? zeros_of(state.parameters) : std::move(sums));
    auto all = team.sums(std::vector<double>{event.loss, static_cast<double>(event.tokens),
                                             static_cast<double>(event.computed)});
    event.loss = all[0];
    event.tokens = static_cast<int64_t>(all[1]), event.computed = static_cast<int64_t>(all[2]);
  }
  TrainEvent taken_step(double start) {
    PrecisionScope scope(precision_of(o.compute));
    TrainEvent event{.kind = TrainEvent::Kind::step, .steps = steps};
    std::vector<Rows> rows;
    NamedParameters sums;
    for (int i = 0; i < o.accumulate; ++i) {
      rows.push_back(next_rows());
      Rows mine = team.share_of(rows.back());
      for (const Rows& part : parts_of(data.train, mine, o.tokens_at_once))
        add_gradients(part, sums, event);
    }
    add_up(sums, event);
    event.loss /= static_cast<double>(event.tokens);
    auto [scaled, norm] = parts.scaled(sums, array(static_cast<float>(event.tokens)));
    eval(norm);
    event.gradient_norm = static_cast<double>(norm.item<float>());
    if (!std::isfinite(event.loss) || !std::isfinite(event.gradient_norm))
      fail_not_finite(rows, event.loss, event.gradient_norm);
    std::tie(state.parameters, state.optimizer) =
        parts.update(state.parameters, state.optimizer, scaled);
    eval(state.parameters, state.optimizer);
    event.learning_rate = static_cast<double>(state.optimizer.at("learning_rate").item<float>());
    event.step = ++state.step;
    state.loss = event.loss;
    event.seconds = now() - start;
    return event;
  }

  double mean_of(const std::vector<SampleLoss>& mine) const {
    double loss = 0, tokens = 0;
    for (const SampleLoss& one : mine) loss += one.loss, tokens += static_cast<double>(one.tokens);
    auto all = team.sums(std::vector<double>{loss, tokens});
    return all[1] > 0 ? all[0] / all[1] : 0;
  }
  TrainEvent judge() {
    double start = now();
    const NamedParameters trained = parameters();
    std::vector<SampleLoss> all;
    for (const Rows& rows : valid_batches) {
      Rows mine = team.share_of(rows);
      if (mine.empty()) continue;
      auto some = losses(trained, data.valid, mine);
      all.insert(all.end(), some.begin(), some.end());
    }
    TrainEvent event{.kind = TrainEvent::Kind::validation, .step = state.step, .steps = steps};
    event.loss = mean_of(all);
    if (!std::isfinite(event.loss)) fail_not_finite(all, event.loss);
    state.valid_loss = event.loss;
    event.is_best = state.best_step < 0 || event.loss < state.best_loss;
    state.evaluations_without_gain = event.is_best ? 0 : state.evaluations_without_gain + 1;
    if (event.is_best) {
      state.best_step = state.step;
      state.best_loss = event.loss;
      state.best = state.parameters;
    }
    event.seconds = now() - start;
    return event;
  }

  bool tell(const TrainEvent& event) const {
    return !progress || progress(event) == TrainNext::more;
  }
  // False: the run is to stop.
  bool save() const {
    if (o.folder.empty() || team.rank() != 0) return true;
    save_checkpoint(o.folder, named_state(), course);
    TrainEvent event{.kind = TrainEvent::Kind::saved, .step = state.step, .steps = steps};
    event.file = checkpoint_file(o.folder, state.step);
    return tell(event);
  }

  TrainResult::End go() {
    bool more = true;
    if (state.step == 0 && state.best_step < 0 && !valid_batches.empty()) more = tell(judge());
    while (state.step < steps) {
      if (team.any(!more || o.stop.stop_requested())) {
        save();
        return TrainResult::End::stopped;
      }
      more = tell(take_step());
      bool at_end = state.step == steps;
      if (!valid_batches.empty() && (at_end || state.step % steps_per_eval() == 0))
        more = tell(judge()) && more;
      bool waited = o.patience > 0 && state.evaluations_without_gain >= o.patience;
      if (at_end || waited || state.step % steps_per_save() == 0) more = save() && more;
      if (waited && !at_end) return TrainResult::End::no_improvement;
    }
    return TrainResult::End::finished;
  }
};

Trainer::Trainer(LanguageModel lm, TrainData data, TrainOptions options, const nn::Where& where)
    : impl_(std::make_unique<Impl>(std::move(lm), std::move(data), std::move(options), where)) {}
Trainer::Trainer(Trainer&&) noexcept = default;
Trainer& Trainer::operator=(Trainer&&) noexcept = default;
Trainer::~Trainer() = default;

bool Trainer::resume() {
  auto found = impl_->o.folder.empty()
                   ? std::nullopt
                   : load_checkpoint(impl_->o.folder, impl_->parameters(), impl_->course);
  if (found) impl_->set_state(std::move(*found));
  return found.has_value();
}

TrainResult Trainer::run(const TrainProgress& progress) {
  impl_->progress = progress;
  WorkspaceScope workspace;
  if (!impl_->o.folder.empty()) make_folder(impl_->o.folder.string(), "train");
  TrainResult result{.end = impl_->go()};
  const TrainState& s = impl_->state;
  result.steps = s.step, result.loss = s.loss, result.valid_loss = s.valid_loss;
  result.best_valid_loss = s.best_loss, result.best_step = s.best_step;
  return result;
}

int64_t Trainer::step() const { return impl_->state.step; }
int64_t Trainer::steps() const { return impl_->steps; }
NamedParameters Trainer::parameters() const { return impl_->parameters(); }
NamedParameters Trainer::best_parameters() const {
  return impl_->state.best.empty() ? impl_->parameters() : impl_->packed.named(impl_->state.best);
}
LanguageModel Trainer::model_with(const NamedParameters& parameters) const {
  LanguageModel lm = impl_->lm;
  lm.model = with_parameters(lm.model, parameters);
  return lm;
}
const TrainData& Trainer::data() const { return impl_->data; }
const TrainOptions& Trainer::options() const { return impl_->o; }

}  // namespace tarn::lm
