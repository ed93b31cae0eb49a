// Neural network layers as plain values.
#pragma once

#include "tarn/nn/activations.h"
#include "tarn/nn/conv.h"
#include "tarn/nn/dropout.h"
#include "tarn/nn/init.h"
#include "tarn/nn/layers.h"
#include "tarn/nn/losses.h"
#include "tarn/nn/low_rank.h"
#include "tarn/nn/module.h"
#include "tarn/nn/norms.h"
#include "tarn/nn/pooling.h"
#include "tarn/nn/positions.h"
#include "tarn/nn/quantize.h"
#include "tarn/nn/recurrent.h"
#include "tarn/nn/sequential.h"
#include "tarn/nn/transformer.h"
#include "tarn/nn/upsample.h"
