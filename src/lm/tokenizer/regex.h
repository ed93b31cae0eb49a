// Patterns from a file, run by PCRE2 within a budget.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace tarn::lm::tokenizer {

struct Match {
  size_t begin = 0, end = 0;
};

// A compiled pattern; copies share it, any thread may use it.
class Regex {
 public:
  // Unicode properties are on. `where` names file and component in errors.
  Regex(std::string_view pattern, std::string where);

 private:
  friend class Search;
  struct Code;
  std::shared_ptr<const Code> code_;
};

using Deadline = std::chrono::steady_clock::time_point;
// When patterns give up on a text of so many bytes. A sound pattern needs under 1 s for a MiB.
Deadline deadline_for(size_t bytes);

// Finds the matches in one text after another. Throws ValueError when a match takes too many steps,
// or when one ends after the deadline.
class Search {
 public:
  Search(const Regex& regex, Deadline deadline);
  ~Search();
  Search(const Search&) = delete;
  Search& operator=(const Search&) = delete;

  // `text` must be valid UTF-8 and outlive the search in it.
  void start(std::string_view text);
  // The next match to the right of the last one, or nothing.
  std::optional<Match> next();

 private:
  struct Room;
  std::shared_ptr<const Regex::Code> code_;
  std::unique_ptr<Room> room_;
  Deadline deadline_;
  std::string_view text_{};
  std::string older_{};  // the text, if it has characters that PCRE2 does not know
  size_t from_ = 0, last_ = 0;
};

}  // namespace tarn::lm::tokenizer
