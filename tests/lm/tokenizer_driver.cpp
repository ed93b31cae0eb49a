// Encodes and decodes for the differential tests. tokenizer_driver FILE [tiktoken options as JSON]:
// a line {"texts": [...], "special": bool, "parse": bool} in, a line [{"ids": [...], "text": ...}]
// out, the text as decoded in one go and in a stream; {"ids": [[...]]} alone is decoded. With
// "repeat": n the answer is the shortest of n times in which all texts were encoded, in seconds.
#include <algorithm>
#include <cstdio>
#include <ctime>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>

#include "tarn/error.h"
#include "tarn/lm/tokenizer.h"

using nlohmann::json;
using tarn::lm::Tokenizer;
using Ids = std::vector<int32_t>;

namespace {

Tokenizer load(int argc, char** argv) {
  if (argc < 3) return Tokenizer::from_file(argv[1]);
  json given = json::parse(argv[2]);
  tarn::lm::TiktokenOptions options;
  options.pattern = given.value("pattern", "");
  options.special_tokens = given.value("special_tokens", std::vector<std::string>());
  std::string path = argv[1];
  std::string text;
  if (FILE* file = std::fopen(path.c_str(), "rb")) {
    char part[65536];
    for (size_t n = 0; (n = std::fread(part, 1, sizeof part, file)) > 0;) text.append(part, n);
    std::fclose(file);
  }
  return Tokenizer::from_tiktoken(text, path, options);
}

std::string decoded(const Tokenizer& t, const Ids& ids, bool skip_special) {
  std::string whole = t.decode(ids, skip_special), pieces;
  tarn::lm::StreamingDetokenizer stream(t, skip_special);
  for (int32_t id : ids) pieces += stream.add(id);
  pieces += stream.finish();
  return pieces == whole ? whole : "streamed " + pieces + " but decoded " + whole;
}

double seconds(const Tokenizer& t, const std::vector<std::string>& texts, int repeat) {
  double best = 1e9;
  for (int i = 0; i < repeat; ++i) {
    const std::clock_t begin = std::clock();
    for (const std::string& text : texts) t.encode(text);
    best = std::min(best, static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC);
  }
  return best;
}

}  // namespace

int main(int argc, char** argv) try {
  const Tokenizer t = load(argc, argv);
  std::string line;
  while (std::getline(std::cin, line)) {
    const json request = json::parse(line);
    const bool skip = request.value("skip", false);
    json answer = json::array();
    if (request.contains("repeat")) {
      answer = seconds(t, request["texts"].get<std::vector<std::string>>(), request["repeat"]);
    } else if (request.contains("ids")) {
      for (const json& ids : request["ids"])
        answer.push_back({{"text", decoded(t, ids.get<Ids>(), skip)}});
    } else {
      const tarn::lm::EncodeOptions options{.add_special_tokens = request.value("special", false),
                                            .parse_special = request.value("parse", true)};
      for (const json& text : request["texts"]) {
        Ids ids = t.encode(text.get<std::string>(), options);
        answer.push_back({{"ids", ids}, {"text", decoded(t, ids, skip)}});
      }
    }
    std::cout << answer.dump(-1, ' ', false, json::error_handler_t::replace) << std::endl;
  }
} catch (const tarn::Error& error) {
  std::cerr << error.message() << '\n';
  return 1;
}
