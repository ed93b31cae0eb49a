// Kernels that move elements.
#pragma once

#include "runtime/backend.h"

namespace tarn::cpu {
void add_movements(KernelTable& t);
void add_scans_and_sorts(KernelTable& t);
void add_sparse(KernelTable& t);
void add_sources(KernelTable& t);
void add_contractions(KernelTable& t);
void add_products(KernelTable& t);
void add_quantized(KernelTable& t);
void add_low_rank(KernelTable& t);
void add_low_rank_rows(KernelTable& t);
void add_convolutions(KernelTable& t);
void add_transforms(KernelTable& t);
void add_rows(KernelTable& t);
void add_attention(KernelTable& t);
void add_delta_rules(KernelTable& t);
void add_communications(KernelTable& t);
}  // namespace tarn::cpu
