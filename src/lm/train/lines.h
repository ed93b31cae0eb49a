// A line of JSON, and where in it things stand.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/json.h"
#include "base/text.h"

namespace tarn::lm {

struct Line {
  const std::string& file;
  int64_t number = 0;  // from 1 on
  std::string_view text{};

  // Throws FileError "[data] FILE, line N, column C: WHY".
  [[noreturn]] void fail_at(size_t column, std::string_view why) const;
};

using JsonStep = std::variant<std::string, size_t>;
// The column, from 1 on, of what the path leads to in the text of a JSON value; of the last member
// on the way where it leads to nothing.
size_t column_of(std::string_view text, const std::vector<JsonStep>& path);

// A value of a line, with the way to it.
class Node {
 public:
  Node(const Line& line, const OrderedJson& value) : line_(line), value_(value) {}

  const OrderedJson& json() const { return value_; }
  bool has(const char* name) const { return value_.contains(name) && !value_.at(name).is_null(); }
  // The member; fails where there is none. `needed` says what belongs there.
  Node member(const char* name, std::string_view needed) const;
  std::vector<Node> items(std::string_view needed) const;
  const std::string& text(std::string_view needed) const;
  void need_object(std::string_view needed) const;

  // Throws FileError: the way to the value and `why` it will not do.
  [[noreturn]] void fail(std::string_view why) const;

 private:
  Node(const Line& line, const OrderedJson& value, std::vector<JsonStep> path)
      : line_(line), value_(value), path_(std::move(path)) {}
  std::string name() const;
  [[noreturn]] void fail_type(std::string_view needed) const;

  const Line& line_;
  const OrderedJson& value_;
  std::vector<JsonStep> path_{};
};

}  // namespace tarn::lm
