// What stands between the marks of a call, by format.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/json.h"
#include "base/text.h"
#include "base/trim.h"
#include "tarn/lm/tools.h"

namespace tarn::lm::tools {

// Thrown where a call cannot be read.
struct Reject {
  RejectedToolCall::Reason reason;
  std::string name{};
  std::string detail{};
};
template <class... Args>
[[noreturn]] void reject(RejectedToolCall::Reason reason, std::string name,
                         fmt::format_string<Args...> text, Args&&... args) {
  throw Reject{reason, std::move(name), fmt::format(text, std::forward<Args>(args)...)};
}

using Schemas = std::unordered_map<std::string, Json>;  // of the declared tools, by name
using Calls = std::vector<ToolCall>;

// Each reads all calls of one payload, or throws Reject.
Calls read_json(std::string_view payload, const Schemas& schemas);
Calls read_python(std::string_view payload, const Schemas& schemas);
Calls read_xml_function(std::string_view payload, const Schemas& schemas);
Calls read_json_or_xml(std::string_view payload, const Schemas& schemas);
Calls read_glm(std::string_view payload, const Schemas& schemas);
Calls read_gemma(std::string_view payload, const Schemas& schemas);
Calls read_gemma4(std::string_view payload, const Schemas& schemas);
Calls read_kimi(std::string_view payload, const Schemas& schemas);
Calls read_minimax(std::string_view payload, const Schemas& schemas);
Calls read_mistral(std::string_view payload, const Schemas& schemas);
Calls read_harmony(std::string_view payload, const Schemas& schemas);

// The call, once its name and arguments are what the schemas declare.
ToolCall checked(std::string name, const Json& arguments, const Schemas& schemas,
                 std::string id = "");
// JSON, or Reject with malformed_syntax.
Json json_of(std::string_view text, const std::string& name);
// A value that was written as plain text, with the type that the tool's schema gives it.
Json typed(std::string_view text, const std::string& tool, const std::string& key,
           const Schemas& schemas);

// Reads values as Python and Gemma's functions write them; `quote` also delimits text.
class LooseReader {
 public:
  LooseReader(std::string_view text, std::string_view quote) : text_(text), quote_(quote) {}
  // `key=value, key=value` or `key:value` up to `end`, which is taken as well.
  Json members(char separator, char end);
  std::string word(std::string_view until);
  bool take(std::string_view expected);
  bool at_end();

 private:
  Json value();
  Json items();
  std::string quoted(char delimiter);
  void skip_space();
  [[noreturn]] void malformed(std::string_view wanted) const;

  static constexpr int most_depth = 64;
  std::string_view text_, quote_;
  size_t at_ = 0;
  int depth_ = 0;
};

}  // namespace tarn::lm::tools
