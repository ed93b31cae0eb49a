// What can go wrong, as types: each error is a tarn::Error and the standard class that MLX throws.
#pragma once

#include <stdexcept>
#include <string>

namespace tarn {

// The tag that every error of this library carries; catch it to catch them all.
struct Error {
  virtual ~Error() = default;
  virtual const char* message() const noexcept = 0;
};

namespace detail {
template <class Standard>
struct ErrorOf : Standard, Error {
  using Standard::Standard;
  const char* message() const noexcept override { return this->what(); }
};
}  // namespace detail

// An argument is not one the function takes (a dtype, a mode, a number out of its range).
struct ValueError : detail::ErrorOf<std::invalid_argument> {
  using ErrorOf::ErrorOf;
};
// Shapes or axes do not fit each other.
struct ShapeError : detail::ErrorOf<std::invalid_argument> {
  using ErrorOf::ErrorOf;
};
// An index lies outside its axis. Known only when the data is: thrown by eval, wait and item.
struct IndexError : detail::ErrorOf<std::out_of_range> {
  using ErrorOf::ErrorOf;
};
// A number does not fit the type that shall hold it.
struct OverflowError : detail::ErrorOf<std::overflow_error> {
  using ErrorOf::ErrorOf;
};
// A file is missing, unreadable or not what its format says.
struct FileError : detail::ErrorOf<std::runtime_error> {
  using ErrorOf::ErrorOf;
};
// The machine cannot do it: no memory, no such device.
struct DeviceError : detail::ErrorOf<std::runtime_error> {
  using ErrorOf::ErrorOf;
};
// A stop was requested while the work was under way.
struct Cancelled : detail::ErrorOf<std::runtime_error> {
  using ErrorOf::ErrorOf;
};

}  // namespace tarn
