#include <unistd.h>

#include <algorithm>

#include "base/json.h"
#include "base/text.h"
#include "model_options.h"
#include "tarn/info.h"
#include "terminal.h"
#include "verbs.h"

namespace tarn::cli {
namespace {

std::string as_json(const std::vector<OpInfo>& all) {
  OrderedJson out = OrderedJson::array();
  for (const OpInfo& op : all) {
    out.push_back({{"name", op.name},
                   {"kind", op.kind},
                   {"dtypes", op.dtypes},
                   {"derivative", op.derivative},
                   {"cpu", op.cpu_kernel},
                   {"doc", op.doc}});
  }
  return out.dump(2) + "\n";
}

// A | would end a table's cell.
std::string cell(std::string text) {
  for (size_t at = 0; (at = text.find('|', at)) != text.npos; at += 2) text.insert(at, 1, '\\');
  return text;
}

std::string as_markdown(const std::vector<OpInfo>& all) {
  std::string out = fmt::format(
      "# Operations\n\nThe {} operations of the catalogue, as `tarn ops --markdown` prints them. "
      "\"By expansion\"\nmeans that an operation runs as the ones it is made of.\n\n"
      "| Operation | Kind | Computes in | Derivative | CPU kernel | What it does |\n"
      "|---|---|---|---|---|---|\n",
      all.size());
  for (const OpInfo& op : all) {
    out += fmt::format("| {} | {} | {} | {} | {} | {} |\n", cell(op.name), cell(op.kind),
                       cell(op.dtypes), cell(op.derivative), cell(op.cpu_kernel), cell(op.doc));
  }
  return out;
}

std::string as_text(const std::vector<OpInfo>& all) {
  size_t name = 0, kind = 0, kernel = 0;
  for (const OpInfo& op : all) {
    name = std::max(name, op.name.size());
    kind = std::max(kind, op.kind.size());
    kernel = std::max(kernel, op.cpu_kernel.size());
  }
  std::string out;
  for (const OpInfo& op : all) {
    out += fmt::format("{:<{}}  {:<{}}  {:<{}}  {}\n", op.name, name, op.kind, kind, op.cpu_kernel,
                       kernel, op.doc);
  }
  return out;
}

}  // namespace

int ops(const Words& words) {
  bool wants_markdown = false, wants_json = false;
  Arguments arguments("tarn ops", "The array operations: name, kind, CPU kernel, what it does.");
  arguments.flag("--markdown", wants_markdown, "as docs/ops.md has them");
  arguments.flag("--json", wants_json, "as JSON");
  if (!parse_or_help(arguments, words)) return 0;
  std::vector<OpInfo> all = list_ops();
  std::string text = wants_json ? as_json(all) : wants_markdown ? as_markdown(all) : as_text(all);
  write_all(STDOUT_FILENO, text, "standard output");
  return 0;
}

}  // namespace tarn::cli
