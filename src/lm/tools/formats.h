// How each family marks its calls.
#pragma once

#include <span>
#include <string_view>

#include "lm/tools/payload.h"

namespace tarn::lm::tools {

struct Format {
  ToolCallFormat format;
  std::string_view name;
  std::string_view parser;                    // mlx-lm's name for it, where it differs
  std::span<const std::string_view> begins;   // any of them begins a call
  std::span<const std::string_view> ends;     // and any of these ends it; none: the answer's end
  std::span<const std::string_view> dropped;  // marks that are no part of the text either
  Calls (*read)(std::string_view payload, const Schemas& schemas);
  bool may_be_bare = false;  // an answer that begins with { may be a call without marks
  bool has_header = false;   // what a frame holds is said between its mark and <|message|>
};

std::span<const Format> formats();
const Format& format_of(ToolCallFormat format);

}  // namespace tarn::lm::tools
