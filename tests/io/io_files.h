// A folder that lasts as long as a test, and small files of every format to put into it.
#pragma once

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "error_of.h"
#include "tarn/array.h"
#include "tarn/error.h"
#include "tarn/gguf.h"

namespace tarn_test {

class Folder {
 public:
  Folder() {
    // In memory where the system has such a folder: hostile tests write tens of thousands of files.
    bool memory = ::access("/dev/shm", W_OK) == 0;
    std::filesystem::path parent = memory ? "/dev/shm" : std::filesystem::temp_directory_path();
    std::string name = (parent / "tarn-io-XXXXXX").string();
    if (!::mkdtemp(name.data())) throw std::runtime_error("no temporary folder");
    path_ = name;
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder() { std::filesystem::remove_all(path_); }

  std::string at(const std::string& name) const { return (path_ / name).string(); }
  std::string write(const std::string& name, const std::string& bytes) const {
    std::ofstream(at(name), std::ios::binary) << bytes;
    ::chmod(at(name).c_str(), 0644);
    return at(name);
  }
  std::string read(const std::string& name) const {
    std::ifstream in(at(name), std::ios::binary);
    std::ostringstream all;
    all << in.rdbuf();
    return all.str();
  }
  std::vector<std::string> names() const {
    std::vector<std::string> all;
    for (const auto& entry : std::filesystem::directory_iterator(path_))
      all.push_back(entry.path().filename().string());
    return all;
  }

 private:
  std::filesystem::path path_;
};

template <class T>
std::vector<T> values(const tarn::array& a) {
  a.eval();
  const T* data = a.data<T>();
  return std::vector<T>(data, data + a.size());
}

template <class T>
std::string bytes_of(T value) {
  return std::string(reinterpret_cast<const char*>(&value), sizeof(value));
}

inline std::string safetensors(const std::string& header, const std::string& data) {
  return bytes_of(uint64_t{header.size()}) + header + data;
}

// Writes GGUF by hand.
class GgufWriter {
 public:
  uint32_t version = 3;
  uint32_t alignment = 32;

  static std::string text(const std::string& s) { return bytes_of(uint64_t{s.size()}) + s; }
  template <class T>
  GgufWriter& key(const std::string& name, tarn::GgufValue::Type type, T value) {
    return raw_key(name, bytes_of(type) + bytes_of(value));
  }
  GgufWriter& key(const std::string& name, const std::string& value) {
    return raw_key(name, bytes_of(tarn::GgufValue::Type::string) + text(value));
  }
  GgufWriter& list(const std::string& name, tarn::GgufValue::Type type, uint64_t count,
                   const std::string& bytes) {
    return raw_key(
        name, bytes_of(tarn::GgufValue::Type::list) + bytes_of(type) + bytes_of(count) + bytes);
  }
  GgufWriter& raw_key(const std::string& name, const std::string& typed_value) {
    keys_ += text(name) + typed_value;
    ++key_count_;
    return *this;
  }
  // `shape` is row-major.
  GgufWriter& tensor(const std::string& name, tarn::GgmlType type, std::vector<uint64_t> shape,
                     const std::string& bytes) {
    std::string sizes;
    for (size_t i = shape.size(); i-- > 0;) sizes += bytes_of(shape[i]);
    tensors_ += text(name) + bytes_of(static_cast<uint32_t>(shape.size())) + sizes +
                bytes_of(type) + bytes_of(uint64_t{data_.size()});
    data_ += bytes;
    data_.resize((data_.size() + alignment - 1) / alignment * alignment, '\0');
    ++tensor_count_;
    return *this;
  }
  std::string bytes() const {
    std::string all = "GGUF" + bytes_of(version) + bytes_of(tensor_count_) + bytes_of(key_count_) +
                      keys_ + tensors_;
    all.resize((all.size() + alignment - 1) / alignment * alignment, '\0');
    return all + data_;
  }

 private:
  std::string keys_, tensors_, data_;
  uint64_t key_count_ = 0, tensor_count_ = 0;
};

// What open(path) says of a file of these bytes, behind `[load] PATH: `.
template <class Open>
std::string read_error(const char* name, const std::string& bytes, Open open) {
  Folder folder;
  std::string path = folder.write(name, bytes);
  std::string message = error_of([&] { open(path); });
  std::string head = "[load] " + path + ": ";
  EXPECT_EQ(message.substr(0, head.size()), head);
  return message.substr(std::min(message.size(), head.size()));
}

// Numbers that look random and are the same everywhere.
class Numbers {
 public:
  explicit Numbers(uint64_t seed) : state_(seed * 0x9e3779b97f4a7c15 + 1) {}
  uint64_t next() {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    state_ ^= state_ << 17;
    return state_ * 0x2545f4914f6cdd1d;
  }
  uint64_t below(uint64_t n) { return (next() >> 11) % n; }
  std::string bytes(size_t n) {
    std::string all(n, '\0');
    for (auto& c : all) c = static_cast<char>(next() >> 56);
    return all;
  }

 private:
  uint64_t state_;
};

}  // namespace tarn_test
