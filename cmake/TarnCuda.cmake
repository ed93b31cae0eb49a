# The backend for NVIDIA GPUs. It builds where there is no GPU, and what it makes runs there: the
# CUDA runtime is linked statically and loads the driver when a program starts, if there is one.
find_program(CMAKE_CUDA_COMPILER nvcc PATHS ENV CUDA_PATH /usr/local/cuda PATH_SUFFIXES bin)
# Machine code for the H100 and intermediate code, which the driver translates, for other cards.
set(TARN_CUDA_ARCHITECTURES 90-real 80-virtual CACHE STRING "What the GPU kernels are compiled for")
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
set_target_properties(tarn_cuda_units PROPERTIES POSITION_INDEPENDENT_CODE ON)

tarn_room(cuda LINK CUDA::cudart_static)
target_include_directories(tarn_cuda SYSTEM PRIVATE ${CUDAToolkit_INCLUDE_DIRS})
list(APPEND TARN_ROOMS tarn_cuda_units)
set_property(SOURCE src/runtime/devices.cpp APPEND PROPERTY COMPILE_DEFINITIONS TARN_CUDA)
