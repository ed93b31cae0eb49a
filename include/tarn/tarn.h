// Everything.
#pragma once

#include "tarn/array.h"
#include "tarn/custom_op.h"
#include "tarn/export.h"
#include "tarn/fast.h"
#include "tarn/graph.h"
#include "tarn/io.h"
#include "tarn/limits.h"
#include "tarn/memory.h"
#include "tarn/nn.h"
#include "tarn/ops.h"
#include "tarn/print.h"
#include "tarn/random.h"
#include "tarn/sparse.h"
#include "tarn/transforms.h"
#include "tarn/version.h"
