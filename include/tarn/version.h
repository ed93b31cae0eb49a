// Which Tarn this is.
#pragma once

namespace tarn {

// "major.minor.patch" of the library that the program runs with.
const char* version();

// Whether this is the thread that the program began with.
bool is_main_thread();

}  // namespace tarn
