#include "lm/tokenizer/gguf_words.h"

#include <algorithm>
#include <iterator>

#include "base/printable.h"
#include "base/require.h"
#include "base/text.h"
#include "lm/tokenizer/unicode.h"

namespace tarn::lm::tokenizer {
namespace {

// The patterns as the models' own tokenizer.json files have them; each cuts what the ones before it
// left.
#define TARN_CONTRACTIONS "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define TARN_REST R"( ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"
#define TARN_CASED_WORD(tail)                                                            \
  R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+)" tail \
  R"(|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*)" tail
#define TARN_CASED_REST R"( ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)"

constexpr std::string_view kDigit = R"(\p{N})";
constexpr std::string_view kThreeDigits = R"(\p{N}{1,3})";
constexpr std::string_view kGpt2 =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
constexpr std::string_view kLlama3 =
    TARN_CONTRACTIONS R"(|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|)" TARN_REST;
constexpr std::string_view kQwen2 =
    TARN_CONTRACTIONS R"(|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|)" TARN_REST;
constexpr std::string_view kQwen35 =
    TARN_CONTRACTIONS R"(|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|)"
                      R"(\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kO200k =
    TARN_CASED_WORD(TARN_CONTRACTIONS "?") R"(|\p{N}{1,3}|)" TARN_CASED_REST;
constexpr std::string_view kTekken = TARN_CASED_WORD("") R"(|\p{N}|)" TARN_CASED_REST;
constexpr std::string_view kDigitGroups = R"(\d{1,3}(?=(?:\d{3})*\b))";
constexpr std::string_view kBloom = R"( ?[^(\s|.,!?…。，、।۔،)]+)";
constexpr std::string_view kBailing =
    R"('(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*|)"
    R"(\s*[\r\n]|\s+(?!\S)|\s+)";
constexpr std::string_view kSeed =
    TARN_CONTRACTIONS R"(|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+|)"
                      R"(\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kMiniCpm =
    TARN_CONTRACTIONS R"(|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}+|)" TARN_REST;
constexpr std::string_view kExaoneMoe =
    TARN_CONTRACTIONS R"(|[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+|\p{N}|)"
                      R"( ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]|\s+(?!\S)|\s+)";
constexpr std::string_view kWithoutContractions = R"([^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|)" TARN_REST;
constexpr std::string_view kSpaceRuns =
    TARN_CONTRACTIONS R"(|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|)"
                      R"(\s*[\r\n]+|\s{512}(?!\S)|\s{256}(?!\S)|\s{128}(?!\S)|\s{64}(?!\S)|)"
                      R"(\s{32}(?!\S)|\s{16}(?!\S)|\s{8}(?!\S)|\s{4}(?!\S)|\s{1,2}(?!\S)|\s{1})";
constexpr std::string_view kImageTokens = R"((IMGIMG)((A|B|C|D|E|F|G|H|I){1,4})Z)";
constexpr std::string_view kLines = R"([^\n]+|[\n]+)";
constexpr std::string_view kFalconMarks = R"([\p{P}\$\+<=>\^~\|`]+)";
constexpr std::string_view kFalconDigits = "[0-9][0-9][0-9]";

constexpr std::string_view kNewline = R"([\r\n])";
constexpr std::string_view kDeepSeekLetters =
    R"(\s?[)"
    R"(A-Za-z\x{B5}\x{C0}-\x{D6}\x{D8}-\x{F6}\x{F8}-\x{1BA}\x{1BC}-\x{1BF}\x{1C4}-\x{293})"
    R"(\x{295}-\x{2AF}\x{370}-\x{373}\x{376}\x{377}\x{37B}-\x{37D}\x{37F}\x{386})"
    R"(\x{388}-\x{38A}\x{38C}\x{38E}-\x{3A1}\x{3A3}-\x{3F5}\x{3F7}-\x{481}\x{48A}-\x{52F})"
    R"(\x{531}-\x{556}\x{10A0}-\x{10C5}\x{13A0}-\x{13F5}\x{13F8}-\x{13FD}\x{1C90}-\x{1CBA})"
    R"(\x{1CBD}-\x{1CBF}\x{1D00}-\x{1D2B}\x{1D6B}-\x{1D77}\x{1D79}-\x{1D9A})"
    R"(\x{1E00}-\x{1F15}\x{1F18}-\x{1F1D}\x{1F20}-\x{1F45}\x{1F48}-\x{1F4D})"
    R"(\x{1F50}-\x{1F57}\x{1F59}\x{1F5B}\x{1F5D}\x{1F5F}-\x{1F7D}\x{1F80}-\x{1FB4})"
    R"(\x{1FB6}-\x{1FBC}\x{1FBE}\x{1FC2}-\x{1FC4}\x{1FC6}-\x{1FCC}\x{1FD0}-\x{1FD3})"
    R"(\x{1FD6}-\x{1FDB}\x{1FE0}-\x{1FEC}\x{1FF2}-\x{1FF4}\x{1FF6}-\x{1FFC}\x{2102}\x{2107})"
    R"(\x{210A}-\x{2113}\x{2115}\x{2119}-\x{211D}\x{2124}\x{2126}\x{2128}\x{212A}-\x{212D})"
    R"(\x{212F}-\x{2134}\x{2139}\x{213C}-\x{213F}\x{2145}-\x{2149}\x{214E}\x{2183}\x{2184})"
    R"(\x{2C00}-\x{2C7B}\x{2C7E}-\x{2CE4}\x{2CEB}-\x{2CEE}\x{2CF2}\x{2CF3}\x{A640}-\x{A66D})"
    R"(\x{A680}-\x{A69B}\x{A722}-\x{A76F}\x{A771}-\x{A787}\x{A78B}-\x{A78E})"
    R"(\x{AB70}-\x{ABBF}\x{FB00}-\x{FB06}\x{FB13}-\x{FB17}\x{FF21}-\x{FF3A})"
    R"(\x{FF41}-\x{FF5A}\x{10400}-\x{1044F}\x{104B0}-\x{104D3}\x{104D8}-\x{104FB})"
    R"(\x{10C80}-\x{10CB2}\x{10CC0}-\x{10CF2}\x{118A0}-\x{118DF}\x{1E900}-\x{1E943})"
    R"(]+)";
constexpr std::string_view kDeepSeekMarks =
    R"(\s?[!-/:-~\x{FF01}-\x{FF0F}\x{FF1A}-\x{FF5E}\x{2018}-\x{201F}\x{3000}-\x{3002}]+)";
constexpr std::string_view kDeepSeekEast =
    R"([\x{4E00}-\x{9FA5}\x{800}-\x{4E00}\x{AC00}-\x{D7FF}]+)";
constexpr std::string_view kDeepSeekHan =
    R"([\x{4E00}-\x{9FA5}\x{3040}-\x{309F}\x{30A0}-\x{30FF}]+)";
constexpr std::string_view kDeepSeekWords =
    R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+|)"
    R"( ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

#define TARN_KIMI_UPPER R"((?:(?!\p{Han})[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]))"
#define TARN_KIMI_LOWER R"((?:(?!\p{Han})[\p{Ll}\p{Lm}\p{Lo}\p{M}]))"
constexpr std::string_view kKimi =
    R"(\p{Han}+|[^\r\n\p{L}\p{N}]?)" TARN_KIMI_UPPER "*" TARN_KIMI_LOWER "+" TARN_CONTRACTIONS
    R"(?|[^\r\n\p{L}\p{N}]?)" TARN_KIMI_UPPER "+" TARN_KIMI_LOWER "*" TARN_CONTRACTIONS
    R"(?|\p{N}{1,3}|)" TARN_REST;

struct Rule {
  std::vector<std::string_view> names, patterns;
  bool ignore_merges = false;
};

const std::vector<Rule>& rules() {
  static const std::vector<Rule> all = {
      {{"default",     "gpt-2",      "phi-2",           "mpt",        "olmo",
        "jais",        "trillion",   "granite-docling", "exaone4",    "jina-es",
        "jina-de",     "jina-v1-en", "jina-v2-es",      "jina-v2-de", "jina-v2-code",
        "roberta-bpe", "gigachat",   "a.x-4.0",         "mellum",     "modern-bert"},
       {kGpt2}},
      {{"smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b",
        "mellum2"},
       {kDigit, kGpt2}},
      {{"llama-bpe", "llama3", "llama-v3", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2",
        "jina-v5-nano", "glm4", "glm5"},
       {kLlama3},
       true},
      {{"dbrx", "smaug-bpe", "chatglm-bpe"}, {kLlama3}},
      {{"qwen2", "deepseek-r1-qwen", "kormo", "f2llmv2", "stablelm2", "megrez", "hunyuan",
        "solar-open", "grok-2"},
       {kQwen2}},
      {{"qwen35"}, {kQwen35}},
      {{"gpt-4o", "llama4", "kanana2", "talkie", "minimax-m2"}, {kO200k}},
      {{"tekken"}, {kTekken}, true},
      {{"deepseek-llm"},
       {kNewline, kDeepSeekLetters, kDeepSeekMarks, R"(\s+$)", kDeepSeekEast, R"(\p{N}+)"}},
      {{"deepseek-coder"}, {kNewline, R"(\s?\p{L}+)", R"(\s?\p{P}+)", kDeepSeekEast, kDigit}},
      {{"deepseek-v3", "hunyuan-dense", "joyai-llm", "hy_v4"},
       {kThreeDigits, kDeepSeekHan, kDeepSeekWords}},
      {{"falcon"}, {kFalconMarks, kGpt2, kFalconDigits}},
      {{"bloom", "poro-chat", "gpt3-finnish"}, {kBloom}},
      {{"viking"}, {kBloom, kDigit}},
      {{"tiny_aya", "cohere2moe"}, {kDigitGroups, kO200k}},
      {{"bailingmoe", "bailingmoe2", "llada-moe"}, {kBailing}},
      {{"seed-coder"}, {kSeed}},
      {{"minicpm5"}, {kThreeDigits, kMiniCpm}, true},
      {{"exaone-moe"}, {kExaoneMoe}},
      {{"ufakzeka"}, {kWithoutContractions}},
      {{"laguna"}, {kLines, kQwen2}},
      {{"kimi-k2"}, {kKimi}},
      {{"jais-2"}, {kSpaceRuns}},
      {{"chameleon"},
       {"<sentinel:[0-9]+>", kImageTokens, R"(([\t\n]|    |  ))", kDigit, R"([\p{P}!-/:-@\[-`{-~])",
        kGpt2}},
      {{"superbpe"}, {R"(\p{N}+)", R"((?=(\d{3})+(?!\d)))"}},
      {{"granite-embed-multi-97m"}, {kO200k}, true},
      {{"gemma4", "sarvam-moe", "granite-embed-multi-311m"}, {kLines}, true},
  };
  return all;
}

}  // namespace

const std::string_view kGpt4Pattern = kLlama3;

Splitter split_by_pattern(std::string_view pattern, const std::string& where) {
  if (pattern == kDigit)
    return split_by(Pattern(CharacterTest(is_number)), Behavior::isolated, false);
  if (auto scanner = scanner_for(pattern)) return split_by(*scanner);
  return split_by(Regex(pattern, where), Behavior::isolated, false);
}

WordPatterns word_patterns(const Vocabulary& v) {
  std::string_view name = v.model == "gemma4" ? std::string_view("gemma4") : v.pre;
  if (name.empty()) name = "default";
  std::vector<std::string_view> names;
  for (const Rule& rule : rules()) {
    names.insert(names.end(), rule.names.begin(), rule.names.end());
    if (std::find(rule.names.begin(), rule.names.end(), name) != rule.names.end())
      return {rule.patterns, rule.ignore_merges};
  }
  fail<FileError>("[load] {}: tokenizer.ggml.pre `{}` is not supported; these are: {}.", v.file,
                  printable(name), joined(names));
}

WordRule word_rule(const Vocabulary& v) {
  auto [patterns, ignore_merges] = word_patterns(v);
  WordRule made{.ignore_merges = ignore_merges};
  for (std::string_view pattern : patterns)
    made.splitters.push_back(split_by_pattern(pattern, v.file + ": tokenizer.ggml.pre"));
  return made;
}

}  // namespace tarn::lm::tokenizer
