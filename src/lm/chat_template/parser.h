// Tokens to a program, by Jinja's grammar.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "lm/chat_template/ast.h"

namespace tarn::lm::jinja {

// Throws ValueError "[chat_template] NAME, line N: ...".
std::unique_ptr<const Program> parse_program(std::string_view source, const std::string& name);

}  // namespace tarn::lm::jinja
