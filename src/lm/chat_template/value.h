// The values of the template language: Python's, as far as chat templates use them.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tarn/lm/text_range.h"

namespace tarn::lm::jinja {

enum class Type : uint8_t {
  missing,  // a slot without a value; never seen by a template
  undefined,
  none,
  boolean,
  integer,
  real,
  string,
  sequence,
  dict,
  name_space,
  function,
  macro,
  loop,
  cycler,
  joiner,
};

// Bytes of the values that are alive in one rendering.
struct Meter {
  int64_t live = 0;
};

struct Object {
  Object() = default;
  Object(const Object&) = delete;
  Object& operator=(const Object&) = delete;
  virtual ~Object() {
    if (meter != nullptr) meter->live -= bytes;
  }
  Meter* meter = nullptr;
  int64_t bytes = 0;
  // Of what is inside, counted as if nothing were shared: so walks and destructors have a bound.
  int depth = 0;
  int64_t weight = 1;
};

struct Text;
struct Sequence;
struct Dict;

// How an undefined value came about; it decides the words of the error when it is used.
enum class Absence : int64_t { variable, attribute, unsafe, hint };

class Value {
 public:
  Value() : type_(Type::none), integer_(0) {}
  Value(bool b) : type_(Type::boolean), integer_(b ? 1 : 0) {}
  Value(int64_t i) : type_(Type::integer), integer_(i) {}
  Value(int i) : Value(int64_t{i}) {}
  Value(double d) : type_(Type::real), real_(d) {}
  Value(const char*) = delete;
  Value(Type type, std::shared_ptr<Object> object)
      : type_(type), integer_(0), object_(std::move(object)) {}

  static Value missing() { return Value(Type::missing, nullptr); }
  // `name` is a string value: a variable, an attribute, or (Absence::hint) the whole sentence.
  static Value undefined(Absence why, const Value& name, Type of = Type::none) {
    Value v(Type::undefined, name.object_);
    v.integer_ = static_cast<int64_t>(why) | static_cast<int64_t>(of) << 8;
    return v;
  }

  Type type() const { return type_; }
  bool is(Type type) const { return type_ == type; }
  bool is_number() const { return type_ >= Type::boolean && type_ <= Type::real; }
  bool is_whole() const { return type_ == Type::boolean || type_ == Type::integer; }

  int64_t whole() const { return integer_; }  // boolean or integer
  double number() const { return type_ == Type::real ? real_ : static_cast<double>(integer_); }
  Absence absence() const { return static_cast<Absence>(integer_ & 0xFF); }
  Type absent_of() const { return static_cast<Type>(integer_ >> 8); }

  const Text& string() const;
  const std::string& text() const;
  Sequence& sequence() const;
  Dict& dict() const;
  template <class T>
  T& object() const {
    return static_cast<T&>(*object_);
  }
  const Object* identity() const { return object_.get(); }

 private:
  Type type_;
  union {
    int64_t integer_;
    double real_;
  };
  std::shared_ptr<Object> object_;
};

// UTF-8, always valid. Templates index by code point.
struct Text final : Object {
  explicit Text(std::string s, bool is_markup = false);
  std::string text;
  int64_t length = 0;  // code points
  bool markup = false;
  std::vector<TextRange> foreign;  // as in Marked
  bool ascii() const { return length == static_cast<int64_t>(text.size()); }
};

enum class Flavor : uint8_t { list, tuple, range, generator, items, keys, values };

struct Sequence final : Object {
  std::vector<Value> items;
  Flavor flavor = Flavor::list;
  int64_t start = 0, stop = 0, stride = 1;  // of a range
  bool consumed = false;                    // of a generator: it can be walked once
  bool group = false;                       // of groupby: (grouper, list), also by these names
  bool indexable() const { return flavor <= Flavor::range; }
};

struct Dict : Object {
  std::vector<std::pair<Value, Value>> entries;  // in order of insertion
  const Value* find(const Value& key) const;
  const Value* find(std::string_view key) const;
  void set(const Value& key, Value value);

 private:
  int64_t locate(const Value& key) const;
  std::map<std::string, size_t, std::less<>> index_;  // canonical keys, once there are many entries
};

struct Namespace final : Object {
  Dict attributes;
};

inline const Text& Value::string() const { return static_cast<const Text&>(*object_); }
inline const std::string& Value::text() const { return string().text; }
inline Sequence& Value::sequence() const { return static_cast<Sequence&>(*object_); }
inline Dict& Value::dict() const { return static_cast<Dict&>(*object_); }

// A string that no rendering owns: for the constants of a program.
inline Value constant_text(std::string s) {
  return Value(Type::string, std::make_shared<Text>(std::move(s)));
}

// What walking the whole value costs, in steps.
int64_t weight(const Value& v);
int depth(const Value& v);

bool truthy(const Value& v);
bool equal(const Value& a, const Value& b);
bool hashable(const Value& v);
// Equal keys, and only they, have equal canonical forms.
std::string canonical_key(const Value& v);
// -1, 0, 1; `comparable` turns false for a pair that Python refuses to order. A pair with a NaN
// gives 2.
int compare(const Value& a, const Value& b, bool& comparable);
// As in Python's messages: "str", "dict", "int".
std::string_view type_name(const Value& v);
std::string_view type_name(Type type);

}  // namespace tarn::lm::jinja
