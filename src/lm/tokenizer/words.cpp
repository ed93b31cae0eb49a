#include "lm/tokenizer/words.h"

#include <algorithm>
#include <optional>

#include "base/require.h"
#include "lm/tokenizer/token_table.h"
#include "lm/tokenizer/unicode.h"

namespace tarn::lm::tokenizer {
namespace {

struct Part {
  uint32_t begin = 0, end = 0;
  bool match = false;
};

Words::Range range(size_t begin, size_t end) {
  return {static_cast<uint32_t>(begin), static_cast<uint32_t>(end)};
}

// Each word becomes what f(word, text) appends to the new text.
template <class F>
void rewrite(Words& words, F f) {
  Words out;
  out.place = words.place;
  for (Words::Range word : words.ranges) {
    size_t begin = out.text.size();
    f(word, out.text);
    out.ranges.push_back(range(begin, out.text.size()));
  }
  words = std::move(out);
}

// Calls `f(begin, end)` for each match in a word, one finder for all words of a text.
class Finder {
 public:
  Finder(const Pattern& pattern, Deadline deadline) : pattern_(pattern) {
    if (auto regex = std::get_if<Regex>(&pattern)) search_.emplace(*regex, deadline);
  }

  template <class F>
  void each_match(std::string_view word, F f) {
    if (search_) {
      search_->start(word);
      while (auto match = search_->next()) f(match->begin, match->end);
    } else if (auto literal = std::get_if<std::string>(&pattern_)) {
      if (literal->empty()) return;
      for (size_t at = 0; (at = word.find(*literal, at)) != word.npos; at += literal->size())
        f(at, at + literal->size());
    } else {
      auto test = std::get<CharacterTest>(pattern_);
      for (size_t at = 0; at < word.size();) {
        Character c = character_at(word, at);
        if (test(c.code)) f(at, at + c.length);
        at += c.length;
      }
    }
  }

 private:
  const Pattern& pattern_;
  std::optional<Search> search_{};
};

// Joins parts as `behavior` wants and appends what is left as words.
void append_words(const std::vector<Part>& parts, Behavior behavior,
                  std::vector<Words::Range>& out) {
  size_t begin = out.size();
  bool before_was_match = false, any = false;
  bool from_right = behavior == Behavior::merged_with_next;
  for (size_t i = 0; i < parts.size(); ++i) {
    const Part& part = parts[from_right ? parts.size() - 1 - i : i];
    bool joins = false;
    switch (behavior) {
      case Behavior::isolated:
        break;
      case Behavior::removed:
        if (part.match) continue;
        break;
      case Behavior::contiguous:
        joins = any && part.match == before_was_match;
        break;
      case Behavior::merged_with_previous:
      case Behavior::merged_with_next:
        joins = any && part.match && !before_was_match;
        break;
    }
    before_was_match = part.match;
    any = true;
    if (!joins)
      out.push_back({part.begin, part.end});
    else if (from_right)
      out.back().begin = part.begin;
    else
      out.back().end = part.end;
  }
  if (from_right) std::reverse(out.begin() + static_cast<ptrdiff_t>(begin), out.end());
}

}  // namespace

Splitter split_by(Pattern pattern, Behavior behavior, bool invert) {
  return [pattern = std::move(pattern), behavior, invert](Words& words) {
    std::vector<Words::Range> out;
    std::vector<Part> parts;
    Finder finder(pattern, words.place.deadline);
    for (Words::Range word : words.ranges) {
      parts.clear();
      uint32_t done = word.begin;
      auto add = [&](uint32_t end, bool match) {
        if (end > done) parts.push_back({done, end, match != invert});
        done = end;
      };
      finder.each_match(words.of(word), [&](size_t begin, size_t end) {
        add(word.begin + static_cast<uint32_t>(begin), false);
        add(word.begin + static_cast<uint32_t>(end), true);
      });
      add(word.end, false);
      append_words(parts, behavior, out);
    }
    words.ranges = std::move(out);
  };
}

Splitter split_by(Scanner scanner) {
  return [scanner](Words& words) {
    std::vector<Words::Range> out;
    out.reserve(words.ranges.size() + words.text.size() / 4);
    for (Words::Range word : words.ranges) {
      std::string_view text = words.of(word);
      for (size_t at = 0; at < text.size();) {
        size_t end = scanner(text, at);
        out.push_back(range(word.begin + at, word.begin + end));
        at = end;
      }
    }
    words.ranges = std::move(out);
  };
}

Splitter split_words_and_symbols() {
  enum class Kind : uint8_t { space, word, symbol };
  auto kind_of = [](uint32_t code) {
    return is_space(code) ? Kind::space : is_word(code) ? Kind::word : Kind::symbol;
  };
  return [kind_of](Words& words) {
    std::vector<Words::Range> out;
    for (Words::Range word : words.ranges) {
      Kind before = Kind::space;
      for (size_t at = word.begin; at < word.end;) {
        Character c = character_at(words.text, at);
        Kind kind = kind_of(c.code);
        if (kind != Kind::space && kind != before)
          out.push_back(range(at, at + c.length));
        else if (kind != Kind::space)
          out.back().end = static_cast<uint32_t>(at + c.length);
        before = kind;
        at += c.length;
      }
    }
    words.ranges = std::move(out);
  };
}

Splitter split_scripts() {
  return [](Words& words) {
    std::vector<Words::Range> out;
    for (Words::Range word : words.ranges) {
      int before = kAnyScript;  // until the first character of a script, all is dropped
      for (uint32_t at = word.begin; at < word.end;) {
        Character c = character_at(words.text, at);
        int script = script_of(c.code);
        if (script != kAnyScript && script != before) out.push_back({at, at});
        if (script != kAnyScript) before = script;
        at += c.length;
        if (before != kAnyScript) out.back().end = at;
      }
    }
    words.ranges = std::move(out);
  };
}

Splitter split_fixed_length(size_t length) {
  return [length](Words& words) {
    std::vector<Words::Range> out;
    for (Words::Range word : words.ranges) {
      size_t count = 0;
      for (uint32_t at = word.begin; at < word.end; ++count) {
        if (count % length == 0) out.push_back({at, at});
        at += character_at(words.text, at).length;
        out.back().end = at;
      }
    }
    words.ranges = std::move(out);
  };
}

Splitter split_before_spaces() {
  return [](Words& words) {
    std::vector<Words::Range> out;
    for (Words::Range word : words.ranges) {
      std::string_view text = words.of(word);
      size_t begin = 0;
      for (size_t at = 0; at < text.size();) {
        at = std::min(text.find(kMetaspace, at), text.size());
        if (at > begin) out.push_back(range(word.begin + begin, word.begin + at));
        begin = at;
        while (text.substr(at).starts_with(kMetaspace)) at += kMetaspace.size();
      }
      if (begin < text.size()) out.push_back(range(word.begin + begin, word.end));
    }
    words.ranges = std::move(out);
  };
}

Splitter spell_bytes() {
  return [](Words& words) {
    rewrite(words,
            [&](Words::Range word, std::string& out) { append_byte_level(out, words.of(word)); });
  };
}

Splitter split_metaspace(std::string with, Prepend prepend, bool split) {
  return [with = std::move(with), prepend, split](Words& words) {
    rewrite(words, [&](Words::Range word, std::string& out) {
      bool first = words.place.at_start && word.begin == 0;
      std::string made = replaced(words.of(word), " ", with);
      bool wanted = prepend == Prepend::always || (prepend == Prepend::first && first);
      if (wanted && !made.starts_with(with)) out.append(with);
      out.append(made);
    });
    if (split) split_by(Pattern(with), Behavior::merged_with_next, false)(words);
  };
}

Splitter prepend_space() {
  return [](Words& words) {
    rewrite(words, [&](Words::Range word, std::string& out) {
      if (!words.of(word).starts_with(' ')) out.push_back(' ');
      out.append(words.of(word));
    });
  };
}

}  // namespace tarn::lm::tokenizer
