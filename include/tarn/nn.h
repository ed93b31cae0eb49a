// Neural network layers as plain values.
#pragma once

#include "tarn/nn/layers.h"
#include "tarn/nn/module.h"
