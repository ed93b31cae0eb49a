// Everything.
#pragma once

#include "tarn/array.h"
#include "tarn/fast.h"
#include "tarn/io.h"
#include "tarn/linalg.h"
#include "tarn/memory.h"
#include "tarn/nn.h"
#include "tarn/ops.h"
#include "tarn/random.h"
#include "tarn/transforms.h"
