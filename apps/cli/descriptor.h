// What verbs that start processes share.
#pragma once

#include <unistd.h>

#include <utility>

namespace tarn::cli {

// What a child ends with whose program cannot be started, as shells have it.
constexpr int cannot_start = 127;

// A file descriptor, closed when this ends; -1 is none.
class Descriptor {
 public:
  explicit Descriptor(int number = -1) : number_(number) {}
  Descriptor(Descriptor&& o) noexcept : number_(std::exchange(o.number_, -1)) {}
  Descriptor& operator=(Descriptor&& o) noexcept {
    std::swap(number_, o.number_);
    return *this;
  }
  ~Descriptor() {
    if (number_ >= 0) close(number_);
  }
  int number() const { return number_; }

 private:
  int number_;
};

}  // namespace tarn::cli
