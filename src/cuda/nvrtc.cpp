#include "cuda/nvrtc.h"

#include <nvrtc.h>

#include <cstdlib>
#include <filesystem>
#include <vector>

#include "base/hash.h"
#include "base/text.h"
#include "cuda/dynamic_library.h"
#include "cuda/formula_texts.h"

namespace tarn::cuda {
namespace {

struct Library {
  decltype(&nvrtcVersion) version = nullptr;
  decltype(&nvrtcCreateProgram) create = nullptr;
  decltype(&nvrtcDestroyProgram) destroy = nullptr;
  decltype(&nvrtcCompileProgram) compile = nullptr;
  decltype(&nvrtcGetCUBINSize) binary_size = nullptr;
  decltype(&nvrtcGetCUBIN) binary = nullptr;
  decltype(&nvrtcGetProgramLogSize) log_size = nullptr;
  decltype(&nvrtcGetProgramLog) log = nullptr;
};

bool find_all(void* from, Library& l) {
  return find(from, "nvrtcVersion", l.version) && find(from, "nvrtcCreateProgram", l.create) &&
         find(from, "nvrtcDestroyProgram", l.destroy) &&
         find(from, "nvrtcCompileProgram", l.compile) &&
         find(from, "nvrtcGetCUBINSize", l.binary_size) && find(from, "nvrtcGetCUBIN", l.binary) &&
         find(from, "nvrtcGetProgramLogSize", l.log_size) &&
         find(from, "nvrtcGetProgramLog", l.log);
}

// Null when the library is not there.
const Library* load() {
  constexpr const char* names[] = {"libnvrtc.so.13", "libnvrtc.so.12",
                                   "/usr/local/cuda/lib64/libnvrtc.so.13",
                                   "/usr/local/cuda/lib64/libnvrtc.so.12"};
  static Library l;
  return open_first(names, [](void* from) { return find_all(from, l); }) ? &l : nullptr;
}
const Library* library() {
  static const Library* const loaded = load();
  return loaded;
}

// Where the toolkit's headers are, for programs' own kernels; empty when it is not there.
std::vector<std::string> include_options() {
  std::vector<std::string> options;
  const char* roots[] = {std::getenv("CUDA_PATH"), std::getenv("CUDA_HOME"), "/usr/local/cuda"};
  for (const char* root : roots)
    if (root && options.empty())
      for (const char* folder : {"/include", "/include/cccl"})
        if (std::string path = std::string(root) + folder; std::filesystem::exists(path))
          options.push_back("--include-path=" + path);
  return options;
}

// What becomes of the program once it is created.
Compilation compiled(const Library& l, nvrtcProgram program, int capability) {
  std::string target = fmt::format("--gpu-architecture=sm_{}", capability);
  // As nvcc compiles the interpreter, so that both round alike.
  std::vector<const char*> options{target.c_str(), "--std=c++20",
                                   "--device-as-default-execution-space"};
  static const std::vector<std::string> includes = include_options();
  for (const auto& option : includes) options.push_back(option.c_str());
  Compilation made;
  nvrtcResult result = l.compile(program, static_cast<int>(options.size()), options.data());
  size_t size = 0;
  if (l.log_size(program, &size) == NVRTC_SUCCESS && size > 1) {
    made.log.resize(size);
    l.log(program, made.log.data());
  }
  if (result != NVRTC_SUCCESS || l.binary_size(program, &size) != NVRTC_SUCCESS) return made;
  made.binary.resize(size);
  if (l.binary(program, made.binary.data()) != NVRTC_SUCCESS) made.binary.clear();
  return made;
}

}  // namespace

bool has_compiler() { return library() != nullptr; }

Compilation compile_source(const std::string& text, int capability) {
  const Library* l = library();
  if (!l) return {{}, "libnvrtc is not there"};
  std::vector<const char*> texts, names;
  for (const auto& header : formula_texts) {
    names.push_back(header.name);
    texts.push_back(header.text);
  }
  nvrtcProgram program = nullptr;
  if (l->create(&program, text.c_str(), "chain.cu", static_cast<int>(texts.size()), texts.data(),
                names.data()) != NVRTC_SUCCESS)
    return {{}, "no program could be created"};
  Compilation made = compiled(*l, program, capability);
  l->destroy(&program);
  return made;
}

std::string name_of_compiled(const std::string& text, int capability) {
  Hash h;
  int major = 0, minor = 0;
  if (const Library* l = library()) l->version(&major, &minor);
  for (int number : {major, minor, capability}) h.add(static_cast<uint64_t>(number));
  for (const auto& header : formula_texts) h.add(std::string_view(header.text));
  h.add(std::string_view(text));
  return fmt::format("{:016x}{:016x}", h.a, h.b);
}

}  // namespace tarn::cuda
