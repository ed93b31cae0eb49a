// SentencePiece's `.model` files: a ModelProto of protocol buffers, read field by field.
#include <bit>
#include <span>

#include "base/byte_reader.h"
#include "lm/tokenizer/parts.h"
#include "lm/tokenizer/sentence_piece.h"

namespace tarn::lm::tokenizer {
namespace {

// One field of a message: its number and its value, a number or bytes.
struct Field {
  enum Kind : uint32_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };
  uint64_t number = 0;
  uint32_t kind = kVarint;
  uint64_t value = 0;
  std::span<const std::byte> bytes{};

  std::string text() const { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }
  float real() const { return std::bit_cast<float>(static_cast<uint32_t>(value)); }
};

uint64_t varint(ByteReader& reader, std::string_view what) {
  uint64_t value = 0;
  for (int shift = 0; shift < 64; shift += 7) {
    auto byte = reader.read<uint8_t>(what);
    value |= static_cast<uint64_t>(byte & 0x7F) << shift;
    if (byte < 0x80) return value;
  }
  fail<FileError>("[load] {}: byte {}: {} is no number of protocol buffers.", reader.file(),
                  reader.offset(), what);
}

Field next_field(ByteReader& reader, std::string_view message) {
  uint64_t tag = varint(reader, message);
  Field field{.number = tag >> 3, .kind = static_cast<uint32_t>(tag & 7)};
  switch (field.kind) {
    case Field::kVarint:
      field.value = varint(reader, message);
      break;
    case Field::kFixed64:
      field.value = reader.read<uint64_t>(message);
      break;
    case Field::kBytes:
      field.bytes = reader.take(varint(reader, message), message);
      break;
    case Field::kFixed32:
      field.value = reader.read<uint32_t>(message);
      break;
    default:
      fail<FileError>(
          "[load] {}: byte {}: {} has a field of the unknown kind {}; this is no "
          "SentencePiece model.",
          reader.file(), reader.offset(), message, field.kind);
  }
  return field;
}

template <class F>
void each_field(std::span<const std::byte> bytes, const std::string& file, std::string_view message,
                F f) {
  ByteReader reader(bytes, file);
  while (reader.remaining() > 0) f(next_field(reader, message));
}

// A field that must be of a kind to be read at all.
void need(const Field& field, uint32_t kind, const std::string& file, std::string_view what) {
  require<FileError>(field.kind == kind,
                     "[load] {}: {} has the kind {} of protocol buffers; {} is needed.", file, what,
                     field.kind, kind);
}

void read_piece(std::span<const std::byte> bytes, Vocabulary& v) {
  std::string text;
  float score = 0;
  auto type = static_cast<int32_t>(kNormal);
  std::string what = "piece " + std::to_string(v.tokens.size());
  each_field(bytes, v.file, what, [&](const Field& field) {
    if (field.number == 1) {
      need(field, Field::kBytes, v.file, what + "'s text");
      text = field.text();
    } else if (field.number == 2) {
      need(field, Field::kFixed32, v.file, what + "'s score");
      score = field.real();
    } else if (field.number == 3) {
      need(field, Field::kVarint, v.file, what + "'s type");
      require<FileError>(field.value >= kNormal && field.value <= kByte,
                         "[load] {}: {} has the type {}; 1 to 6 are known.", v.file, what,
                         field.value);
      type = static_cast<int32_t>(field.value);
    }
  });
  require<FileError>(!text.empty(), "[load] {}: {} has no text.", v.file, what);
  v.tokens.push_back(std::move(text));
  v.scores.push_back(score);
  v.types.push_back(type);
}

void read_trainer(std::span<const std::byte> bytes, Vocabulary& v) {
  constexpr std::string_view kinds[] = {"t5", "llama", "word", "char"};
  // A negative number stands for none.
  auto id = [](const Field& field) -> std::optional<int32_t> {
    auto value = static_cast<int32_t>(static_cast<uint32_t>(field.value));
    return value < 0 ? std::nullopt : std::optional(value);
  };
  each_field(bytes, v.file, "trainer_spec", [&](const Field& field) {
    if (field.number == 3) {
      require<FileError>(field.value >= 1 && field.value <= std::size(kinds),
                         "[load] {}: trainer_spec: model type {} is not supported; 1 (unigram) to "
                         "4 (char) are.",
                         v.file, field.value);
      v.model = kinds[field.value - 1];
    }
    if (field.number == 24) v.space_as_suffix = field.value != 0;
    if (field.number == 40) v.unk = id(field);
    if (field.number == 41) v.bos = id(field);
    if (field.number == 42) v.eos = id(field);
    if (field.number == 43) v.pad = id(field);
  });
}

void read_normalizer(std::span<const std::byte> bytes, Vocabulary& v) {
  each_field(bytes, v.file, "normalizer_spec", [&](const Field& field) {
    if (field.number == 2) {
      need(field, Field::kBytes, v.file, "normalizer_spec's precompiled_charsmap");
      v.precompiled_charsmap = field.text();
    }
    if (field.number == 3) v.add_space_prefix = field.value != 0;
    if (field.number == 4) v.remove_extra_whitespaces = field.value != 0;
    if (field.number == 5) v.escape_whitespaces = field.value != 0;
  });
}

}  // namespace

Vocabulary vocabulary_from_sentence_piece(std::string_view bytes, const std::string& file) {
  Vocabulary v;
  v.file = file;
  // What absent fields mean.
  v.model = "t5";
  v.remove_extra_whitespaces = true;
  v.unk = 0;
  v.bos = 1;
  v.eos = 2;
  v.add_bos = true;
  each_field(std::as_bytes(std::span(bytes)), file, "the model", [&](const Field& field) {
    if (field.number < 1 || field.number > 3) return;
    need(field, Field::kBytes, file, "part " + std::to_string(field.number) + " of the model");
    if (field.number == 1) read_piece(field.bytes, v);
    if (field.number == 2) read_trainer(field.bytes, v);
    if (field.number == 3) read_normalizer(field.bytes, v);
  });
  require<FileError>(!v.tokens.empty(), "[load] {}: this is no SentencePiece model: no pieces.",
                     file);
  // T5's files end a text, the others begin it.
  if (v.model == "t5") std::swap(v.add_bos, v.add_eos);
  return v;
}

std::shared_ptr<const Parts> parts_from_sentence_piece(std::string_view bytes,
                                                       const std::string& file) {
  return parts_from_vocabulary(vocabulary_from_sentence_piece(bytes, file));
}

}  // namespace tarn::lm::tokenizer
