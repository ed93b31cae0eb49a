#include "lm/tokenizer/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <algorithm>
#include <array>
#include <chrono>

#include "base/printable.h"
#include "base/require.h"
#include "lm/tokenizer/unicode.h"

namespace tarn::lm::tokenizer {
namespace {

// For one match: backtracking steps, nesting, and KiB of memory for them.
constexpr uint32_t kMatchLimit = 2'000'000, kDepthLimit = 20'000, kHeapLimit = 64 * 1024;
constexpr size_t kLongestPattern = 16 * 1024;

struct Free {
  void operator()(pcre2_code* p) const { pcre2_code_free(p); }
  void operator()(pcre2_match_data* p) const { pcre2_match_data_free(p); }
  void operator()(pcre2_match_context* p) const { pcre2_match_context_free(p); }
  void operator()(pcre2_compile_context* p) const { pcre2_compile_context_free(p); }
  void operator()(pcre2_jit_stack* p) const { pcre2_jit_stack_free(p); }
};
template <class T>
using Owned = std::unique_ptr<T, Free>;

std::string message_of(int error) {
  std::array<PCRE2_UCHAR, 256> text{};
  pcre2_get_error_message(error, text.data(), text.size());
  return reinterpret_cast<const char*>(text.data());
}

PCRE2_SPTR units(std::string_view text) { return reinterpret_cast<PCRE2_SPTR>(text.data()); }

bool has_newer_characters(std::string_view text) {
  for (size_t at = 0; at < text.size();) {
    if ((text[at] & 0x80) == 0) {
      ++at;
      continue;
    }
    Character c = character_at(text, at);
    if (older_character(c.code) != c.code) return true;
    at += c.length;
  }
  return false;
}

}  // namespace

struct Regex::Code {
  Owned<pcre2_code> code{};
  std::string where{};
};

Regex::Regex(std::string_view pattern, std::string where) {
  require<FileError>(pattern.size() <= kLongestPattern,
                     "[load] {}: the pattern has {} bytes; at most {} are taken.", where,
                     pattern.size(), kLongestPattern);
  // A class intersection would mean something else to PCRE2, without an error.
  require<FileError>(pattern.find("&&") == std::string_view::npos,
                     "[load] {}: the pattern `{}` has `&&`, which is not supported.", where,
                     printable(pattern));
  Owned<pcre2_compile_context> context(pcre2_compile_context_create(nullptr));
  require<DeviceError>(context != nullptr, "[load] {}: no memory for a pattern.", where);
  pcre2_set_newline(context.get(), PCRE2_NEWLINE_LF);
  pcre2_set_parens_nest_limit(context.get(), 100);
  int error = 0;
  PCRE2_SIZE at = 0;
  auto options = PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C;
  Owned<pcre2_code> code(
      pcre2_compile(units(pattern), pattern.size(), options, &error, &at, context.get()));
  require<FileError>(code != nullptr, "[load] {}: the pattern `{}` is wrong at byte {}: {}.", where,
                     printable(pattern), at, message_of(error));
  // Where the system forbids it, the interpreter runs instead: the same matches, more slowly.
  pcre2_jit_compile(code.get(), PCRE2_JIT_COMPLETE);
  code_ = std::make_shared<Code>(Code{std::move(code), std::move(where)});
}

// What PCRE2 needs to match, kept from text to text.
struct Search::Room {
  Owned<pcre2_match_data> match{};
  Owned<pcre2_match_context> context{};
  Owned<pcre2_jit_stack> stack{};
};

Deadline deadline_for(size_t bytes) {
  constexpr double kSecondsPerMiB = 5, kSecondsAtLeast = 5;
  double seconds =
      std::max(kSecondsAtLeast, kSecondsPerMiB * static_cast<double>(bytes) / (1 << 20));
  return std::chrono::steady_clock::now() +
         std::chrono::milliseconds(static_cast<int64_t>(1000 * seconds));
}

Search::Search(const Regex& regex, Deadline deadline)
    : code_(regex.code_), room_(std::make_unique<Room>()), deadline_(deadline) {
  room_->match.reset(pcre2_match_data_create_from_pattern(code_->code.get(), nullptr));
  room_->context.reset(pcre2_match_context_create(nullptr));
  room_->stack.reset(pcre2_jit_stack_create(32 * 1024, 1024 * 1024, nullptr));
  require<DeviceError>(room_->match && room_->context && room_->stack,
                       "[encode] {}: no memory to match a pattern.", code_->where);
  pcre2_set_match_limit(room_->context.get(), kMatchLimit);
  pcre2_set_depth_limit(room_->context.get(), kDepthLimit);
  pcre2_set_heap_limit(room_->context.get(), kHeapLimit);
  pcre2_jit_stack_assign(room_->context.get(), nullptr, room_->stack.get());
}

Search::~Search() = default;

void Search::start(std::string_view text) {
  text_ = text;
  if (has_newer_characters(text)) {
    older_.clear();
    for (size_t at = 0; at < text.size();) {
      Character c = character_at(text, at);
      append_utf8(older_, older_character(c.code));
      at += c.length;
    }
    text_ = older_;
  }
  from_ = 0;
  last_ = text.size() + 1;
}

std::optional<Match> Search::next() {
  while (from_ <= text_.size()) {
    int found = pcre2_match(code_->code.get(), units(text_), text_.size(), from_,
                            PCRE2_NO_UTF_CHECK, room_->match.get(), room_->context.get());
    if (found == PCRE2_ERROR_NOMATCH) break;
    require(found > 0, "[encode] {}: the pattern gives up on a text of {} bytes: {}.", code_->where,
            text_.size(), message_of(found));
    require(std::chrono::steady_clock::now() < deadline_,
            "[encode] {}: the pattern takes too long for this text.", code_->where);
    const PCRE2_SIZE* ends = pcre2_get_ovector_pointer(room_->match.get());
    Match match{std::max(ends[0], from_), std::max({ends[0], ends[1], from_})};
    bool empty = match.begin == match.end;
    // An empty match right behind another is none; behind any, the search goes one character on.
    bool counts = !empty || match.begin != last_;
    last_ = from_ = match.end;
    if (empty) from_ += from_ < text_.size() ? character_at(text_, from_).length : 1;
    if (counts) return match;
  }
  from_ = text_.size() + 1;
  return std::nullopt;
}

}  // namespace tarn::lm::tokenizer
