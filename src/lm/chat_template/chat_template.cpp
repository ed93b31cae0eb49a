#include "tarn/lm/chat_template.h"

#include <algorithm>
#include <iterator>

#include "base/require.h"
#include "lm/chat_template/parser.h"
#include "lm/chat_template/render.h"
#include "lm/chat_template/variables.h"

namespace tarn::lm {

struct ChatTemplate::Impl {
  std::string source;
  std::unique_ptr<const jinja::Program> program;
};

namespace jinja {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kJsonDepth = 100;

// The roles that templates know. Some write one between the marks of a control token, so these
// words count as the template's own.
bool is_role(std::string_view word) {
  constexpr std::string_view roles[] = {"system",   "user",     "assistant",     "tool",
                                        "model",    "function", "developer",     "ipython",
                                        "document", "context",  "tool_response", "observation"};
  return std::find(std::begin(roles), std::end(roles), word) != std::end(roles);
}

Value own_text(Render& r, const Json& j) { return r.text(Marked{j.get<std::string>(), {}}); }

Value from_json(Render& r, const Json& j, int level) {
  if (level > kJsonDepth) r.fail("the variables are nested more than {} deep.", kJsonDepth);
  switch (j.type()) {
    case Json::value_t::boolean:
      return j.get<bool>();
    case Json::value_t::number_unsigned:
      if (j.get<uint64_t>() > INT64_MAX) return static_cast<double>(j.get<uint64_t>());
      return j.get<int64_t>();
    case Json::value_t::number_integer:
      return j.get<int64_t>();
    case Json::value_t::number_float:
      return j.get<double>();
    case Json::value_t::string:
      return r.text(j.get_ref<const std::string&>());
    case Json::value_t::array: {
      std::vector<Value> items;
      items.reserve(j.size());
      for (const Json& item : j) items.push_back(from_json(r, item, level + 1));
      return r.sequence(std::move(items));
    }
    case Json::value_t::object: {
      auto d = std::make_shared<Dict>();
      for (const auto& item : j.items()) {
        const Json& v = item.value();
        const bool own =
            item.key() == "role" && v.is_string() && is_role(v.get_ref<const std::string&>());
        r.put(*d, r.text(item.key()), own ? own_text(r, v) : from_json(r, v, level + 1));
      }
      return r.dict(std::move(d));
    }
    default:
      return {};
  }
}

}  // namespace

RenderedPrompt render(const ChatTemplate::Impl& impl, const nlohmann::ordered_json& variables,
                      const TemplateBudget& budget) {
  const Program& program = *impl.program;
  require(variables.is_object(), "[chat_template] {}: the variables are a JSON {}, not an object.",
          program.name, variables.type_name());
  Render r(program, budget);
  std::vector<Value>& slots = r.context();
  // Only what the template names is converted.
  for (size_t i = 0; i < slots.size(); ++i) {
    const std::string& name = program.names[i].text();
    if (const auto found = variables.find(name); found != variables.end()) {
      const bool own = name.ends_with("_token") && found->is_string();
      slots[i] = own ? own_text(r, *found) : from_json(r, *found, 1);
    } else if (const NativeFunction global = find_global(name)) {
      slots[i] = r.function(global);
    }
  }
  Marked out = r.run();
  return {std::move(out.text), std::move(out.foreign)};
}

}  // namespace jinja

ChatTemplate ChatTemplate::parse(std::string_view source, std::string name) {
  constexpr size_t kMostSource = 8 << 20;
  require(source.size() <= kMostSource, "[chat_template] {}: the text has {} bytes, at most {}.",
          name, source.size(), kMostSource);
  auto impl = std::make_shared<Impl>();
  impl->source = source;
  impl->program = jinja::parse_program(source, name);
  return ChatTemplate(std::move(impl));
}

std::string ChatTemplate::render(std::string_view variables, const TemplateBudget& budget) const {
  return render_marked(variables, budget).text;
}

RenderedPrompt ChatTemplate::render_marked(std::string_view variables,
                                           const TemplateBudget& budget) const {
  nlohmann::ordered_json parsed;
  try {
    parsed = nlohmann::ordered_json::parse(variables);
  } catch (const nlohmann::json::exception& e) {
    fail("[chat_template] {}: the variables are no JSON: {}.", name(), e.what());
  }
  return jinja::render(*impl_, parsed, budget);
}

const std::string& ChatTemplate::source() const { return impl_->source; }
const std::string& ChatTemplate::name() const { return impl_->program->name; }

}  // namespace tarn::lm
