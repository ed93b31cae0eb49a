#include "lm/tokenizer/score_bpe.h"

#include <queue>
#include <unordered_map>

#include "lm/tokenizer/unicode.h"

namespace tarn::lm::tokenizer {
namespace {

struct Symbol {
  size_t begin = 0, length = 0;  // in the word; length 0: joined into its left neighbour
  int32_t previous = -1, next = -1;
};

struct Candidate {
  float score = 0;
  int32_t left = 0, right = 0;
  size_t length = 0;  // of the joined text: if the two have grown since, the candidate is stale
  bool operator<(const Candidate& o) const {
    return score != o.score ? score < o.score : left > o.left;
  }
};

}  // namespace

// The work on one word.
struct ScoreBpe::Run {
  const ScoreBpe& model;
  std::string_view word;
  std::vector<int32_t>& ids;
  std::vector<Symbol> symbols{};
  std::priority_queue<Candidate> queue{};
  // Where a taken-apart token was cut: its bytes' begin and length → the left part's length.
  std::unordered_map<size_t, std::unordered_map<size_t, size_t>> cuts{};
  size_t begin = ids.size();

  Symbol& at(int32_t i) { return symbols[static_cast<size_t>(i)]; }

  void split() {
    for (size_t i = 0; i < word.size();) {
      size_t length = character_at(word, i).length;
      auto self = static_cast<int32_t>(symbols.size());
      symbols.push_back({i, length, self - 1, self + 1});
      i += length;
    }
    symbols.back().next = -1;
  }

  void offer(int32_t left) {
    if (left < 0 || at(left).next < 0) return;
    int32_t right = at(left).next;
    size_t length = at(left).length + at(right).length;
    auto id = model.usable(word.substr(at(left).begin, length));
    if (!id) return;
    queue.push({model.scores_[static_cast<size_t>(*id)], left, right, length});
    if (model.uses_[static_cast<size_t>(*id)] == Use::taken_apart)
      cuts[at(left).begin][length] = at(left).length;
  }

  void join() {
    for (int32_t i = 0; i < static_cast<int32_t>(symbols.size()); ++i) offer(i);
    while (!queue.empty()) {
      Candidate top = queue.top();
      queue.pop();
      Symbol &left = at(top.left), &right = at(top.right);
      if (left.length == 0 || right.length == 0 || left.length + right.length != top.length)
        continue;
      left.length = top.length;
      left.next = right.next;
      right.length = 0;
      if (left.next >= 0) at(left.next).previous = top.left;
      offer(left.previous);
      offer(top.left);
    }
  }

  // Appends the ids of a finished symbol. Its parts wait on a stack of their own, so that a deep
  // chain of taken-apart tokens does not recurse.
  void append(size_t first, size_t length) {
    std::vector<std::pair<size_t, size_t>> waiting{{first, length}};
    while (!waiting.empty()) {
      auto [from, size] = waiting.back();
      waiting.pop_back();
      std::string_view text = word.substr(from, size);
      auto id = model.usable(text);
      if (!id) {
        model.append_unknown(text, ids, begin);
      } else if (model.uses_[static_cast<size_t>(*id)] != Use::taken_apart) {
        ids.push_back(*id);
      } else if (auto cut = cut_of(from, size); cut == 0) {
        ids.push_back(*id);
      } else {
        waiting.push_back({from + cut, size - cut});
        waiting.push_back({from, cut});
      }
    }
  }

  size_t cut_of(size_t from, size_t size) const {
    auto row = cuts.find(from);
    if (row == cuts.end()) return 0;
    auto cut = row->second.find(size);
    return cut == row->second.end() ? 0 : cut->second;
  }
};

ScoreBpe::ScoreBpe(Tokens tokens, std::vector<float> scores, std::vector<Use> uses,
                   std::optional<int32_t> unk)
    : tokens_(std::move(tokens)),
      scores_(std::move(scores)),
      uses_(std::move(uses)),
      unk_(unk),
      fallback_ids_(byte_token_ids(*tokens_)) {}

std::optional<int32_t> ScoreBpe::usable(std::string_view text) const {
  auto id = tokens_->find(text);
  return id && uses_[static_cast<size_t>(*id)] != Use::never ? id : std::nullopt;
}

void ScoreBpe::append_unknown(std::string_view text, std::vector<int32_t>& ids,
                              size_t begin) const {
  if (!fallback_ids_.empty()) {
    for (char byte : text) ids.push_back(fallback_ids_[static_cast<unsigned char>(byte)]);
  } else if (unk_ && (ids.size() == begin || ids.back() != *unk_)) {
    ids.push_back(*unk_);
  }
}

void ScoreBpe::encode(std::string_view word, std::vector<int32_t>& ids) const {
  Run run{*this, word, ids};
  run.split();
  run.join();
  for (int32_t i = 0; i >= 0; i = run.at(i).next) run.append(run.at(i).begin, run.at(i).length);
}

}  // namespace tarn::lm::tokenizer
