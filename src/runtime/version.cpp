#include "tarn/version.h"

#include <unistd.h>

namespace tarn {

const char* version() { return TARN_VERSION; }

bool is_main_thread() { return ::gettid() == ::getpid(); }

}  // namespace tarn
