#include "tarn/lm/engine.h"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <vector>

#include "base/require.h"
#include "base/signals_blocked.h"
#include "lm/engine/prefixes.h"
#include "lm/engine/request.h"
#include "tarn/memory.h"
#include "tarn/ops.h"

namespace tarn::lm {
namespace {

// Of rows that can be computed in one call.
bool go_together(const Request& a, const Request& b) {
  return a.answer().shared_model() == b.answer().shared_model() &&
         a.answer().parameters().precision == b.answer().parameters().precision;
}

// What f throws, or nothing. It is handed on outside the handler: the thread that throws it again
// is then the only one to hold it.
template <class F>
std::exception_ptr error_of(F f) {
  try {
    f();
  } catch (...) {
    return std::current_exception();
  }
  return nullptr;
}

// The next token of each. Throws what the call threw; the sequences are as before then.
void decode_together(std::span<Request* const> rows) {
  const Answer& first = rows[0]->answer();
  std::vector<int32_t> ids;
  Pass pass;
  for (Request* r : rows) {
    ids.push_back(r->answer().tokens().back());
    pass.rows.push_back(std::move(r->sequence().pass.rows[0]));
    pass.adapters.push_back(r->answer().parameters().adapter);
  }
  auto give_back = [&] {
    for (size_t i = 0; i < rows.size(); ++i)
      rows[i]->sequence().pass.rows[0] = std::move(pass.rows[i]);
  };
  array logits;
  try {
    logits = compute(first.model(), first.parameters().precision,
                     array(ids.begin(), Shape{static_cast<int64_t>(ids.size()), 1}, int32), pass);
  } catch (...) {
    for (size_t i = 0; i < rows.size(); ++i)
      pass.rows[i].truncate(static_cast<int64_t>(rows[i]->sequence().tokens.size()));
    give_back();
    throw;
  }
  give_back();
  for (size_t i = 0; i < rows.size(); ++i) {
    rows[i]->sequence().tokens.push_back(ids[i]);
    ++rows[i]->answer().info.model_calls;
  }
  for (size_t i = 0; i < rows.size(); ++i) {
    // What a processor of one request throws is that one's alone.
    auto error = error_of([&] { rows[i]->answer().step(logits_at(logits, i)); });
    if (!error) continue;
    rows[i]->deliver();
    rows[i]->mailbox()->close(std::move(error));
    rows[i]->answer().finish("error");
  }
}

}  // namespace

struct Engine::Impl {
  using Shared = std::shared_ptr<Request>;
  ModelContainer container;
  EngineOptions options;
  mutable std::mutex mutex{};  // guards what follows up to `thread`
  std::condition_variable_any changed{};
  std::deque<Shared> waiting{};
  EngineStatistics statistics{};
  bool forgets = false;   // clear_prefixes() was called
  bool outdated = false;  // another model was published, or none
  // The engine's thread alone uses these.
  std::vector<Shared> active{};
  Prefixes prefixes;
  std::jthread thread{};  // last: it ends before what it uses

  Impl(ModelContainer c, EngineOptions o)
      : container(std::move(c)), options(o), prefixes(o.prefix_bytes) {
    SignalsBlocked blocked;
    thread = std::jthread([this](const std::stop_token& stop) { run(stop); });
  }

  void forget_unloaded() {
    {
      std::lock_guard lock(mutex);
      outdated = true;
    }
    changed.notify_one();
  }

  void run(const std::stop_token& stop) {
    for (;;) {
      {
        std::unique_lock lock(mutex);
        changed.wait(lock, stop,
                     [&] { return !waiting.empty() || !active.empty() || forgets || outdated; });
        if (stop.stop_requested()) break;
        if (std::exchange(forgets, false)) prefixes.clear();
        outdated = false;
        admit();
      }
      round();
      // Answers may have held the last model until now.
      if (active.empty() && prefixes.drop_unloaded()) release_memory();
      report();
    }
    // Nobody reads any more: a range holds the engine.
    active.clear();
  }

  void admit() {
    for (auto it = waiting.begin(); it != waiting.end();) {
      bool cancelled = (*it)->answer().cancel_requested();
      bool has_room = active.size() < static_cast<size_t>(options.most_answers);
      if (!cancelled && !has_room) {
        ++it;
        continue;
      }
      active.push_back(std::move(*it));  // a cancelled one ends at once
      it = waiting.erase(it);
    }
    statistics.active = static_cast<int>(active.size());
  }

  void round() {
    end_cancelled();
    auto error = error_of([&] {
      compute_a_prompt();
      compute_tokens();
    });
    if (error)
      for (auto& r : std::exchange(active, {})) end(*r, error);
    end_finished();
  }

  void end(Request& request, std::exception_ptr error) {
    request.mailbox()->close(std::move(error));
    std::lock_guard lock(mutex);
    ++statistics.answers;
  }

  void end_cancelled() {
    for (auto& r : active)
      if (r->answer().cancel_requested()) r->answer().finish("cancelled");
    end_finished();
  }

  void end_finished() {
    std::erase_if(active, [&](const Shared& r) {
      if (!r->deliver()) return false;
      const std::string& reason = r->answer().info.finish_reason;
      if (reason == "stop" || reason == "length")
        prefixes.keep(r->answer().shared_model(), std::move(r->sequence()));
      std::lock_guard lock(mutex);
      ++statistics.answers;
      return true;
    });
  }

  // One chunk of the prompt of the request that has waited longest.
  void compute_a_prompt() {
    auto it = std::find_if(active.begin(), active.end(), [](const Shared& r) {
      return !r->has_prompt() && !r->answer().finished();
    });
    if (it == active.end()) return;
    Shared r = *it;
    auto error = error_of([&] {
      try {
        compute_chunk(*r);
      } catch (const Cancelled&) {
        r->answer().finish("cancelled");
      }
    });
    if (!error) return;
    active.erase(it);
    end(*r, std::move(error));
  }

  void compute_chunk(Request& r) {
    if (!r.has_begun()) begin(r);
    size_t computed = r.answer().finished() ? 0 : r.compute_prompt();
    {
      std::lock_guard lock(mutex);
      statistics.prompt_tokens += computed;
    }
    if (r.has_prompt() && is_shared(r)) prefixes.keep(r.answer().shared_model(), r.sequence());
  }

  void begin(Request& r) {
    const GenerateParameters& p = r.answer().parameters();
    r.begin(prefixes.find(r.answer().shared_model(), p.caching(), p.adapter, r.prompt()));
    std::lock_guard lock(mutex);
    statistics.shared_tokens += static_cast<uint64_t>(r.answer().info.cached_tokens);
  }

  // Another one that is still to be computed begins the same way.
  bool is_shared(const Request& r) const {
    auto shares = [&](const Shared& other) {
      return other.get() != &r && !other->has_begun() &&
             other->answer().parameters().adapter == r.answer().parameters().adapter &&
             common_prefix(other->prompt(), r.prompt()) >= Prefixes::least_shared;
    };
    if (std::any_of(active.begin(), active.end(), shares)) return true;
    std::lock_guard lock(mutex);
    return std::any_of(waiting.begin(), waiting.end(), shares);
  }

  void compute_tokens() {
    std::vector<Request*> left;
    for (auto& r : active)
      if (r->has_prompt() && !r->answer().finished()) left.push_back(r.get());
    while (!left.empty()) {
      auto rest = std::stable_partition(
          left.begin(), left.end(), [&](const Request* r) { return go_together(*r, *left[0]); });
      std::vector<Request*> rows(left.begin(), rest);
      left.erase(left.begin(), rest);
      // Rows of one adapter side by side are one product.
      std::stable_sort(rows.begin(), rows.end(), [](const Request* a, const Request* b) {
        return a->answer().parameters().adapter.name < b->answer().parameters().adapter.name;
      });
      decode_together(rows);
      std::lock_guard lock(mutex);
      ++statistics.steps;
      statistics.tokens += rows.size();
    }
  }

  void report() {
    std::lock_guard lock(mutex);
    statistics.active = static_cast<int>(active.size());
    statistics.waiting = static_cast<int>(waiting.size());
    statistics.prefix_bytes = prefixes.bytes();
    statistics.prefixes = static_cast<int>(prefixes.size());
  }
};

namespace {

// The reader's end. It holds the engine; dropping it cancels the answer.
class MailSource final : public Generation::Source {
 public:
  MailSource(std::shared_ptr<Engine::Impl> engine, std::shared_ptr<Mailbox> mailbox)
      : engine_(std::move(engine)), mailbox_(std::move(mailbox)) {}
  ~MailSource() override { mailbox_->cancel(); }
  bool next(Event& event) override { return mailbox_->wait(event); }

 private:
  std::shared_ptr<Engine::Impl> engine_;
  std::shared_ptr<Mailbox> mailbox_;
};

}  // namespace

Engine::Engine(ModelContainer container, EngineOptions options) {
  require(options.most_answers >= 1 && options.most_answers <= 15,
          "[Engine] most_answers is {}; it must be from 1 to 15.", options.most_answers);
  require(options.most_waiting >= 0, "[Engine] most_waiting is {}; it must be 0 or more.",
          options.most_waiting);
  impl_ = std::make_shared<Impl>(std::move(container), options);
  impl_->container.when_published(impl_, [impl = impl_.get()] { impl->forget_unloaded(); });
}

Generation Engine::generate(LMInput input, const GenerateParameters& parameters) const {
  require(!parameters.speculative,
          "[Engine] speculative decoding is for one answer at a time. Use lm::generate.");
  auto request = std::make_shared<Request>(impl_->container.model(), std::move(input), parameters);
  {
    std::lock_guard lock(impl_->mutex);
    auto most = static_cast<size_t>(impl_->options.most_waiting);
    size_t room = static_cast<size_t>(impl_->options.most_answers - impl_->statistics.active);
    require(impl_->waiting.size() < most + room,
            "[Engine] {} answers are being made and {} wait; no more than {} may. Try again later.",
            impl_->statistics.active, impl_->waiting.size(), most);
    impl_->waiting.push_back(request);
  }
  impl_->changed.notify_one();
  return Generation(std::make_shared<MailSource>(impl_, request->mailbox()));
}

Generation Engine::generate(const UserInput& input, const GenerateParameters& parameters) const {
  return generate(impl_->container.prepare(input), parameters);
}

EngineStatistics Engine::statistics() const {
  std::lock_guard lock(impl_->mutex);
  EngineStatistics now = impl_->statistics;
  now.waiting = static_cast<int>(impl_->waiting.size());
  return now;
}

void Engine::clear_prefixes() {
  {
    std::lock_guard lock(impl_->mutex);
    impl_->forgets = true;
  }
  impl_->changed.notify_one();
}

}  // namespace tarn::lm
