#include "lm/tokenizer/json.h"

namespace tarn::lm::tokenizer {

JsonDocument::JsonDocument(std::string_view text, const std::string& file) {
  auto error = parser_.allocate(text.size(), kDeepest);
  if (!error) error = parser_.parse(text.data(), text.size()).get(root_);
  require<FileError>(!error, "[load] {}: not JSON: {}", file, simdjson::error_message(error));
}

std::optional<Json> Json::find(std::string_view key) const {
  simdjson::dom::element member;
  if (object()[key].get(member) != simdjson::SUCCESS || member.is_null()) return std::nullopt;
  return Json(member, *file_,
              path_.empty() ? printable(key) : fmt::format("{}.{}", path_, printable(key)));
}

Json Json::at(std::string_view key) const {
  auto member = find(key);
  require<FileError>(member.has_value(), "[load] {}: `{}` is missing.", where(), printable(key));
  return *member;
}

std::vector<Json> Json::items() const {
  std::vector<Json> out;
  for (auto item : array())
    out.push_back(Json(item, *file_, fmt::format("{}[{}]", path_, out.size())));
  return out;
}

std::string Json::text_or(std::string_view key, std::string_view otherwise) const {
  auto member = find(key);
  return std::string(member ? member->text() : otherwise);
}

bool Json::flag_or(std::string_view key, bool otherwise) const {
  auto member = find(key);
  return member ? member->flag() : otherwise;
}

}  // namespace tarn::lm::tokenizer
