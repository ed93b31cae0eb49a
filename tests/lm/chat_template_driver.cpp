// Renders templates for the differential test: a line {"template": ..., "variables": {...}} in,
// a line {"text": ..., "foreign": [[begin, end], ...]} or {"error": ...} out.
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>

#include "tarn/error.h"
#include "tarn/lm/chat_template.h"

int main() {
  std::string line;
  while (std::getline(std::cin, line)) {
    nlohmann::ordered_json answer;
    try {
      const auto request = nlohmann::ordered_json::parse(line);
      const auto program =
          tarn::lm::ChatTemplate::parse(request.at("template").get<std::string>(), "test");
      const auto prompt = program.render_marked(request.at("variables").dump());
      answer["text"] = prompt.text;
      for (const auto& r : prompt.foreign) answer["foreign"].push_back({r.begin, r.end});
    } catch (const tarn::ValueError& e) {
      answer = {{"error", e.what()}};
    }
    std::cout << answer.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) << std::endl;
  }
}
