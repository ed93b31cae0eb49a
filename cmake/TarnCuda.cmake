# The backend for NVIDIA GPUs. It builds where there is no GPU, and what it makes runs there: the
# CUDA runtime is linked statically and loads the driver when a program starts, if there is one.
find_program(CMAKE_CUDA_COMPILER nvcc PATHS ENV CUDA_PATH /usr/local/cuda PATH_SUFFIXES bin)
# Machine code for the H100, with the instructions that only it has, and intermediate code, which
# the driver translates, for other cards.
set(TARN_CUDA_ARCHITECTURES 90a-real 80-virtual CACHE STRING "What the GPU kernels are compiled for")
set(CMAKE_CUDA_ARCHITECTURES ${TARN_CUDA_ARCHITECTURES})
enable_language(CUDA)
find_package(CUDAToolkit REQUIRED)

file(GLOB units CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/cuda/*.cu)
add_library(tarn_cuda_units OBJECT ${units})
target_include_directories(tarn_cuda_units PRIVATE ${PROJECT_SOURCE_DIR}/src)
target_compile_options(tarn_cuda_units PRIVATE -std=c++20 --expt-relaxed-constexpr
                       # Formulas of all integers compare with 0.
                       -diag-suppress=186 -Xcompiler=-Wall,-Wextra
                       $<$<BOOL:${TARN_WERROR}>:-Werror=all-warnings>)
if("${TARN_CUDA_ARCHITECTURES}" MATCHES "90a")
  target_compile_definitions(tarn_cuda_units PRIVATE TARN_SM_90A)
endif()
set_target_properties(tarn_cuda_units PROPERTIES POSITION_INDEPENDENT_CODE ON)

# The text of the headers that chains compiled at run time include.
set(headers base/scalar.h ops/spec.h ops/unary.h ops/binary.h ops/catalogue.h ops/columns.h
            cuda/chain_builtins.h cuda/chain_kernel.h cuda/custom_words.h)
set(TARN_FORMULA_TEXTS "")
foreach(header ${headers})
  file(READ ${PROJECT_SOURCE_DIR}/src/${header} text)
  string(APPEND TARN_FORMULA_TEXTS "    {\"${header}\", R\"formula(${text})formula\"},\n")
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS src/${header})
endforeach()
file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/formula_texts.cpp @ONLY CONTENT [[
#include "cuda/formula_texts.h"
namespace tarn::cuda {
const std::array<HeaderText, 9> formula_texts{{
@TARN_FORMULA_TEXTS@}};
}  // namespace tarn::cuda
]])

tarn_room(cuda LINK CUDA::cudart_static)
target_sources(tarn_cuda PRIVATE ${PROJECT_BINARY_DIR}/formula_texts.cpp)
target_include_directories(tarn_cuda SYSTEM PRIVATE ${CUDAToolkit_INCLUDE_DIRS})
list(APPEND TARN_ROOMS tarn_cuda_units)
foreach(source src/runtime/devices.cpp src/distributed/no_nccl.cpp)
  set_property(SOURCE ${source} APPEND PROPERTY COMPILE_DEFINITIONS TARN_CUDA)
endforeach()
