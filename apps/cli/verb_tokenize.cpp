#include <unistd.h>

#include <charconv>

#include "base/json.h"
#include "base/json_text.h"
#include "base/require.h"
#include "model_options.h"
#include "terminal.h"
#include "verbs.h"

namespace tarn::cli {
namespace {

struct TokenizeArguments {
  ModelOptions model{};
  std::vector<std::string> texts{};
  bool wants_json = false, by_lines = false, parses_special = false, decodes = false;
};

// Ids in any of the forms that this verb prints: "1 2 3", "1,2,3", "[1, 2, 3]".
std::vector<int32_t> parse_ids(std::string_view text) {
  std::vector<int32_t> ids;
  constexpr std::string_view between = " \t\r\n,[]";
  for (size_t at = 0; (at = text.find_first_not_of(between, at)) != text.npos;) {
    size_t end = std::min(text.find_first_of(between, at), text.size());
    int32_t id = 0;
    auto [last, error] = std::from_chars(text.data() + at, text.data() + end, id);
    require(error == std::errc() && last == text.data() + end, "[tokenize] `{}` is not a token id.",
            text.substr(at, std::min<size_t>(end - at, 40)));
    ids.push_back(id);
    at = end;
  }
  return ids;
}

class Converter {
 public:
  Converter(lm::Tokenizer tokenizer, const TokenizeArguments& given)
      : tokenizer_(std::move(tokenizer)), given_(given) {}

  // What is printed for one text, with the newline.
  std::string operator()(std::string_view text) const {
    bool as_json = given_.wants_json || given_.by_lines;
    if (given_.decodes) {
      std::string decoded = tokenizer_.decode(parse_ids(text));
      return (as_json ? json_text(Json(decoded)) : decoded) + "\n";
    }
    std::vector<int32_t> ids = tokenizer_.encode(text, {.parse_special = given_.parses_special});
    return as_json ? fmt::format("[{}]\n", joined(ids, ","))
                   : fmt::format("{}\n", joined(ids, " "));
  }

 private:
  lm::Tokenizer tokenizer_;
  const TokenizeArguments& given_;
};

void each_line(std::string_view text, const Converter& convert) {
  std::string out;
  constexpr size_t enough = 1 << 20;
  while (!text.empty()) {
    size_t end = text.find('\n');
    out += convert(text.substr(0, end));
    text.remove_prefix(end == text.npos ? text.size() : end + 1);
    if (out.size() < enough) continue;
    write_all(STDOUT_FILENO, out, "standard output");
    out.clear();
  }
  write_all(STDOUT_FILENO, out, "standard output");
}

}  // namespace

int tokenize(const Words& words) {
  TokenizeArguments given;
  Arguments arguments("tarn tokenize", "Text to token ids and back: one line for each TEXT.");
  given.model.add_to(arguments);
  arguments.texts("TEXT", given.texts, "a text; - is all of standard input");
  arguments.flag("--lines", given.by_lines,
                 "each line of standard input by itself; prints one JSON value a line");
  arguments.flag("--json", given.wants_json, "prints JSON");
  arguments.flag("--special", given.parses_special,
                 "control tokens that are written out become their ids");
  arguments.flag("--decode", given.decodes, "ids to text; each TEXT is a list of ids");
  if (!parse_or_help(arguments, words)) return 0;
  if (given.texts.empty() && !given.by_lines) {
    throw UsageError("tarn tokenize needs a TEXT, or - for standard input.");
  }
  if (!given.texts.empty() && given.by_lines)
    throw UsageError("--lines reads standard input: leave TEXT out.");
  Converter convert(load_model(given.model).tokenizer, given);
  if (given.by_lines) {
    each_line(read_standard_input(size_t{1} << 30), convert);
    return 0;
  }
  for (const std::string& text : given.texts) {
    write_all(STDOUT_FILENO, convert(text == "-" ? read_standard_input() : text),
              "standard output");
  }
  return 0;
}

}  // namespace tarn::cli
