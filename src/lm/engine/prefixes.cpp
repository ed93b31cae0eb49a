#include "lm/engine/prefixes.h"

#include <algorithm>

#include "lm/generation/decode.h"

namespace tarn::lm {

Session Prefixes::find(const std::shared_ptr<const LanguageModel>& model,
                       const CacheOptions& options, const nn::AdapterChoice& adapter,
                       std::span<const int32_t> tokens) {
  drop_unloaded();
  auto best = all_.end();
  size_t most = least_shared - 1;
  for (auto it = all_.begin(); it != all_.end(); ++it) {
    const Session& s = it->sequence;
    const Cache& cache = s.pass.rows[0];
    if (it->model.lock() != model || cache.options != options || cache.adapter != adapter) continue;
    size_t known = std::min(common_prefix(s.tokens, tokens), tokens.size() - 1);
    if (known > most && s.pass.can_truncate(static_cast<int64_t>(known))) best = it, most = known;
  }
  if (best == all_.end()) return {};
  all_.splice(all_.begin(), all_, best);
  Session found = best->sequence;
  found.pass.truncate(static_cast<int64_t>(most));
  found.tokens.resize(most);
  return found;
}

void Prefixes::keep(const std::shared_ptr<const LanguageModel>& model, Session sequence) {
  if (sequence.pass.rows.empty() || sequence.tokens.size() < least_shared) return;
  size_t bytes = sequence.pass.rows[0].nbytes();
  if (bytes > most_bytes_) return;
  for (auto it = all_.begin(); it != all_.end();) {
    auto entry = it++;
    const auto& known = entry->sequence.tokens;
    bool same = entry->model.lock() == model &&
                entry->sequence.pass.rows[0].adapter == sequence.pass.rows[0].adapter;
    bool is_beginning = same && known.size() <= sequence.tokens.size() &&
                        common_prefix(known, sequence.tokens) == known.size();
    if (is_beginning) drop(entry);
  }
  while (bytes_ + bytes > most_bytes_) drop(std::prev(all_.end()));
  all_.push_front({model, std::move(sequence), bytes});
  bytes_ += bytes;
}

void Prefixes::clear() {
  all_.clear();
  bytes_ = 0;
}

void Prefixes::drop(std::list<Entry>::iterator entry) {
  bytes_ -= entry->bytes;
  all_.erase(entry);
}

bool Prefixes::drop_unloaded() {
  const size_t before = all_.size();
  for (auto it = all_.begin(); it != all_.end();) {
    auto entry = it++;
    if (entry->model.expired()) drop(entry);
  }
  return all_.size() < before;
}

}  // namespace tarn::lm
