// Code points of UTF-8 text, with Python's ideas of space, case and printing.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace tarn::lm::jinja {

bool valid_utf8(std::string_view s);
int64_t code_points(std::string_view s);
// The code point at `at`, which moves behind it. `s` is valid and `at` at a boundary.
int32_t decode(std::string_view s, size_t& at);
void append_utf8(std::string& out, int32_t code_point);
std::vector<int32_t> decode_all(std::string_view s);
std::string encode_all(const std::vector<int32_t>& code_points);
// The byte where code point `index` begins; index may be the length.
size_t byte_of(std::string_view s, int64_t index);

bool is_space(int32_t c);
bool is_printable(int32_t c);
bool is_word(int32_t c);  // \w of a regular expression
bool is_alpha(int32_t c);
bool is_digit(int32_t c);
bool is_upper(int32_t c);
bool is_lower(int32_t c);

// Bytes of the whitespace character at `at`, 0 when there is none.
size_t space_at(std::string_view s, size_t at);
std::string_view strip(std::string_view s, bool left, bool right);
std::string_view strip_of(std::string_view s, std::string_view chars, bool left, bool right);

std::string upper(std::string_view s);
std::string lower(std::string_view s);
std::string swap_case(std::string_view s);
std::string capitalize(std::string_view s);
std::string title(std::string_view s);  // as str.title: a word begins after anything uncased

std::vector<std::string_view> split_lines(std::string_view s, bool keep_ends);

}  // namespace tarn::lm::jinja
