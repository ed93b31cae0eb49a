// Chat templates: the Jinja program that a model ships to turn messages into its prompt.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tarn/lm/text_range.h"

namespace tarn::lm {

// What one rendering may use. A template is a program from a file, so it always has bounds.
struct TemplateBudget {
  int64_t steps = 2'000'000;           // expressions, statements, and one per KiB of text made
  int64_t output_bytes = 16 << 20;     // the prompt, and any one string on the way to it
  int64_t memory_bytes = 256LL << 20;  // all values alive at one time
  int depth = 64;                      // macro calls and recursive loops inside each other
};

// A prompt, and which of its bytes the template's author did not write: messages, tools and all
// that was made of them. In order, apart from each other; for EncodeOptions::foreign.
struct RenderedPrompt {
  std::string text{};
  std::vector<TextRange> foreign{};
};

// A parsed template. Immutable and cheap to copy; any number of threads may render it.
//
// The language is Jinja2 as chat templates are written for: a sandbox without mutation of lists
// and dicts, trim_blocks and lstrip_blocks on, loop controls, {% generation %},
// raise_exception(message), strftime_now(format) and a tojson that leaves non-ASCII text as it is.
// Integers have 64 bits. There is no include, import, extends or block.
class ChatTemplate {
 public:
  // Throws ValueError "[chat_template] NAME, line N: ..." for a text that is no template.
  static ChatTemplate parse(std::string_view source, std::string name = "chat_template");

  // `variables` is the text of a JSON object: messages, tools, documents, add_generation_prompt,
  // bos_token, eos_token and whatever else the template reads. Throws ValueError when the template
  // fails, calls raise_exception or exceeds the budget.
  std::string render(std::string_view variables, const TemplateBudget& budget = {}) const;

  // The same with its origins. Texts from `variables` are foreign, but for the variables whose
  // names end in "_token" and the usual words for a `role`. What filters and methods make of a text
  // keeps its origin where they cut, join, replace or repeat; any other result is foreign as a
  // whole.
  RenderedPrompt render_marked(std::string_view variables, const TemplateBudget& budget = {}) const;

  const std::string& source() const;
  const std::string& name() const;

  struct Impl;

 private:
  explicit ChatTemplate(std::shared_ptr<const Impl> impl) : impl_(std::move(impl)) {}
  std::shared_ptr<const Impl> impl_;
};

}  // namespace tarn::lm
