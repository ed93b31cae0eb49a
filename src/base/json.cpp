#include "base/json.h"

#include <cstdint>
#include <iterator>
#include <unordered_set>
#include <utility>
#include <vector>

#include "base/file.h"
#include "base/json_error.h"
#include "base/printable.h"
#include "base/require.h"

namespace tarn {
namespace {

// Hands the text to the parser and remembers how far it has read.
struct Cursor {
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  const char* at = nullptr;
  const char** reached = nullptr;

  reference operator*() const {
    *reached = at;
    return *at;
  }
  Cursor& operator++() {
    ++at;
    return *this;
  }
  Cursor operator++(int) {
    Cursor old = *this;
    ++at;
    return old;
  }
  friend bool operator==(const Cursor& a, const Cursor& b) { return a.at == b.at; }
};

// Builds the value from the parser's events. J is Json or OrderedJson.
template <class J>
class Builder {
 public:
  Builder(std::string_view text, const std::string& file) : text_(text), file_(file) {}

  J parse() {
    Cursor first{text_.data(), &reached_}, last{text_.data() + text_.size(), &reached_};
    J::sax_parse(first, last, this);
    return std::move(root_);
  }

  // The parser's events; true means go on.
  bool null() { return add(nullptr); }
  bool boolean(bool v) { return add(v); }
  bool number_integer(int64_t v) { return add(v); }
  bool number_unsigned(uint64_t v) { return add(v); }
  bool number_float(double v, const std::string&) { return add(v); }
  bool string(std::string& v) { return add(std::move(v)); }
  bool binary(typename J::binary_t&) { return false; }
  bool start_object(size_t) { return open(J::object()); }
  bool start_array(size_t) { return open(J::array()); }
  bool end_object() { return close(); }
  bool end_array() { return close(); }
  bool key(std::string& name) {
    J& object = *stack_.back().container;
    bool fresh = true;
    if constexpr (std::is_same_v<J, Json>) {
      auto [at, inserted] = object.emplace(name, nullptr);
      slot_ = &at.value();
      fresh = inserted;
    } else {
      fresh = stack_.back().keys.insert(name).second;
      auto& members = object.template get_ref<typename J::object_t&>();
      using Member = typename J::object_t::value_type;
      static_cast<typename J::object_t::Container&>(members).push_back(Member(name, nullptr));
      slot_ = &members.back().second;
    }
    if (!fresh) refuse(fmt::format("the key \"{}\" stands twice in one object", printable(name)));
    return true;
  }
  template <class E>
  bool parse_error(size_t, const std::string&, const E& error) {
    std::string_view what = error.what();
    for (std::string_view head : {"parse error at ", ": ", "out_of_range.406] "})
      if (size_t at = what.find(head); at != what.npos) what.remove_prefix(at + head.size());
    return refuse(printable(what, 300));
  }

 private:
  struct Level {
    J* container = nullptr;
    std::unordered_set<std::string> keys{};  // of an OrderedJson object; Json looks in its map
  };

  template <class V>
  bool add(V&& value) {
    place(J(std::forward<V>(value)));
    return true;
  }
  bool open(J&& empty) {
    if (stack_.size() == json_depth_limit)
      refuse(fmt::format("values nest deeper than {} levels", json_depth_limit));
    J* container = place(std::move(empty));
    stack_.push_back(Level{container, {}});
    return true;
  }
  bool close() {
    stack_.pop_back();
    return true;
  }
  J* place(J&& value) {
    if (++values_ > json_value_limit)
      refuse(fmt::format("there are more than {} values", json_value_limit));
    if (stack_.empty()) {
      root_ = std::move(value);
      return &root_;
    }
    J& container = *stack_.back().container;
    if (container.is_array()) {
      container.push_back(std::move(value));
      return &container.back();
    }
    *slot_ = std::move(value);
    return slot_;
  }
  [[noreturn]] bool refuse(const std::string& why) const {
    auto byte = static_cast<size_t>(reached_ - text_.data());
    throw JsonError(fmt::format("[json] {}: byte {}: {}. Correct the text or fetch the file again.",
                                printable(file_, 4096), byte, why),
                    byte, why);
  }

  std::string_view text_;
  const std::string& file_;
  const char* reached_ = text_.data();
  J root_;
  std::vector<Level> stack_;
  J* slot_ = nullptr;  // where the value of the key just read goes
  size_t values_ = 0;
};

}  // namespace

Json parse_json(std::string_view text, const std::string& file) {
  return Builder<Json>(text, file).parse();
}

OrderedJson parse_ordered_json(std::string_view text, const std::string& file) {
  return Builder<OrderedJson>(text, file).parse();
}

Json load_json(const std::string& path, size_t limit) {
  return parse_json(read_text(path, limit), path);
}

}  // namespace tarn
