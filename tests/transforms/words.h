// What tests of transforms and files share.
#pragma once

#include <sstream>
#include <string>

#include "tarn/array.h"

namespace tarn {

inline std::string text(const array& a) {
  std::ostringstream out;
  out << a;
  return out.str();
}

template <class F>
std::string what_is_thrown(F f) {
  try {
    f();
  } catch (const Error& e) {
    return e.message();
  }
  return "nothing is thrown";
}

}  // namespace tarn
