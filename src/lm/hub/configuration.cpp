#include "lm/hub/names.h"

namespace tarn::lm {

using namespace hub;
namespace fs = std::filesystem;

ModelConfiguration ModelConfiguration::parse(std::string_view text) {
  ModelConfiguration model;
  std::error_code error;
  if (text.find('\0') == text.npos && fs::exists(fs::path(text), error)) {
    model.directory = fs::path(text);
    return model;
  }
  std::string_view rest = text;
  if (size_t at = rest.rfind('@'); at != rest.npos) {
    model.revision = rest.substr(at + 1);
    rest = rest.substr(0, at);
    check_revision(model.revision);
  }
  size_t slash = rest.find('/');
  size_t second = slash == rest.npos ? rest.npos : rest.find('/', slash + 1);
  model.id = rest.substr(0, second);
  check_id(model.id);
  if (second == rest.npos) return model;
  model.file = rest.substr(second + 1);
  if (auto fault = fault_of_file_name(model.file))
    refuse(HubReason::bad_name, "[hub] \"{}\" cannot be a file of {}: {}.", printable(model.file),
           model.id, *fault);
  return model;
}

std::string ModelConfiguration::name() const {
  if (!directory.empty()) return (directory / "").parent_path().filename().string();
  return id.substr(id.rfind('/') + 1);
}

}  // namespace tarn::lm
