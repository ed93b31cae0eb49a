#include "lm/models/division.h"

#include <utility>

namespace tarn::lm {
namespace {

thread_local DivisionScope* thread_scope = nullptr;

}  // namespace

DivisionScope::DivisionScope(distributed::Group group)
    : group_(std::move(group)), before_(std::exchange(thread_scope, this)) {}
DivisionScope::~DivisionScope() { thread_scope = before_; }
std::optional<distributed::Group> DivisionScope::current() {
  return thread_scope ? std::optional(thread_scope->group_) : std::nullopt;
}
std::optional<distributed::Group> DivisionScope::for_model() {
  if (thread_scope) thread_scope->has_model_ = true;
  return current();
}

}  // namespace tarn::lm
