// Every array operation.
#pragma once

#include "tarn/ops/contract.h"
#include "tarn/ops/conv.h"
#include "tarn/ops/creation.h"
#include "tarn/ops/dynamic.h"
#include "tarn/ops/einsum.h"
#include "tarn/ops/indexing.h"
#include "tarn/ops/layout.h"
#include "tarn/ops/maths.h"
#include "tarn/ops/products.h"
#include "tarn/ops/quantized.h"
#include "tarn/ops/reduce.h"
