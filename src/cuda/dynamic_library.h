// Libraries that are used where they are found: the backend is linked with none of them.
#pragma once

#include <dlfcn.h>

#include <span>

namespace tarn::cuda {

template <class F>
bool find(void* library, const char* name, F& function) {
  function = reinterpret_cast<F>(dlsym(library, name));
  return function != nullptr;
}

// The first of those that are there that `take` accepts; false when there is none.
template <class Take>
bool open_first(std::span<const char* const> names, Take take) {
  for (const char* name : names)
    if (void* library = dlopen(name, RTLD_NOW | RTLD_LOCAL); library && take(library)) return true;
  return false;
}

}  // namespace tarn::cuda
