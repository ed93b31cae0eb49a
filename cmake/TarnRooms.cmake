# tarn_room(name): every source of src/<name> as an object library that joins the one library.
set(TARN_ROOMS "")
set(TARN_LINKS "")

add_library(tarn_flags INTERFACE)
target_compile_features(tarn_flags INTERFACE cxx_std_20)
target_compile_options(tarn_flags INTERFACE -Wall -Wextra -Wpedantic $<$<BOOL:${TARN_WERROR}>:-Werror>)
# g++ 12 sees overlap in std::string's operator+ where there is none (GCC PR 105651).
target_compile_options(tarn_flags INTERFACE $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict>)
target_include_directories(tarn_flags INTERFACE ${PROJECT_SOURCE_DIR}/include)
# Quoted includes only: a header of ours must never stand in for a system header.
target_compile_options(tarn_flags INTERFACE "SHELL:-iquote ${PROJECT_SOURCE_DIR}/src")

# What most files read of the standard library and of fmt, compiled once: reading it takes longer
# than compiling the rest of many a file. Files name what they use all the same; a build without
# this (OFF) shows where one does not.
option(TARN_PRECOMPILED_HEADERS "Read common system headers precompiled" ON)
set(TARN_COMMON_HEADERS <algorithm> <array> <atomic> <cmath> <complex> <cstdint> <cstring>
    <functional> <map> <memory> <mutex> <optional> <span> <string> <string_view> <unordered_map>
    <utility> <variant> <vector> <fmt/core.h>)
# Of `target`, as `same` has them when that is given: it must be compiled with the same flags.
function(tarn_precompiled_headers target)
  cmake_parse_arguments(PCH "" "SAME" "MORE" ${ARGN})
  if(NOT TARN_PRECOMPILED_HEADERS)
    return()
  endif()
  # ccache tells apart what is precompiled by its preprocessed text only.
  target_compile_options(${target} PRIVATE $<$<CXX_COMPILER_ID:GNU>:-fpch-preprocess>)
  if(PCH_SAME)
    target_precompile_headers(${target} REUSE_FROM ${PCH_SAME})
  else()
    target_precompile_headers(${target} PRIVATE ${TARN_COMMON_HEADERS} ${PCH_MORE})
  endif()
endfunction()

# Four files of a folder in one compilation: what they read is read once, and a template that they
# share is made once. Names in anonymous namespaces must therefore differ among neighbours. A build
# without this (OFF) recompiles less when one file is touched, and shows where a file leans on what
# its neighbours include.
option(TARN_UNITY "Compile several files at a time" ON)
function(tarn_unity target)
  if(NOT TARN_UNITY)
    return()
  endif()
  set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_MODE GROUP)
  get_target_property(sources ${target} SOURCES)
  list(SORT sources)
  foreach(source ${sources})
    get_filename_component(folder ${source} DIRECTORY)
    file(RELATIVE_PATH folder ${PROJECT_SOURCE_DIR} ${folder})
    string(MAKE_C_IDENTIFIER "${folder}" folder)
    list(APPEND files_of_${folder} ${source})
    list(LENGTH files_of_${folder} count)
    math(EXPR group "(${count} - 1) / 4")
    set_property(SOURCE ${source} TARGET_DIRECTORY ${target}
                 PROPERTY UNITY_GROUP "${folder}_${group}")
  endforeach()
  # g++ takes a class of a .cpp file that another one includes for one of a header.
  target_compile_options(${target} PRIVATE $<$<CXX_COMPILER_ID:GNU>:-Wno-subobject-linkage>)
endfunction()

function(tarn_room name)
  cmake_parse_arguments(ROOM "" "" "LINK" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/${name}/*.cpp)
  if(name STREQUAL "cpu")
    list(FILTER sources EXCLUDE REGEX "/(blocks|heavy_[a-z0-9_]+)\\.cpp$")
    list(APPEND sources ${TARN_CPU_PLAIN})
  endif()
  if(NOT sources)
    return()
  endif()
  add_library(tarn_${name} OBJECT ${sources})
  target_link_libraries(tarn_${name} PRIVATE tarn_flags fmt::fmt
                        nlohmann_json::nlohmann_json ${ROOM_LINK})
  set_target_properties(tarn_${name} PROPERTIES POSITION_INDEPENDENT_CODE ON)
  if(name STREQUAL "base")
    tarn_precompiled_headers(tarn_base)
  else()
    tarn_precompiled_headers(tarn_${name} SAME tarn_base)
  endif()
  set(TARN_ROOMS ${TARN_ROOMS} tarn_${name} PARENT_SCOPE)
  set(TARN_LINKS ${TARN_LINKS} ${ROOM_LINK} PARENT_SCOPE)
endfunction()

set(TARN_KERNEL_OPTIMIZATION -O3 CACHE STRING "How far the kernels are optimised")

# The units that are compiled once per instruction set. They include formulas and intrinsics only;
# a test checks that no shared inline function leaks out of them.
function(tarn_cpu_units)
  set(maths ${TARN_KERNEL_OPTIMIZATION} -fno-math-errno -fno-trapping-math -fwrapv -ffp-contract=fast)
  set(levels baseline)
  if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
    list(APPEND levels avx2 avx512)
    set(flags_avx2 -march=haswell)
    # With the address sanitizer g++ 12 gives locals frames of its own, to see uses after a return, in
    # which vectors of 64 bytes are not aligned.
    set(aligned_frames $<$<CXX_COMPILER_ID:GNU>:--param=asan-use-after-return=0>)
    set(flags_avx512 -march=skylake-avx512 -mprefer-vector-width=512 ${aligned_frames})
  endif()
  set(made "")
  foreach(level ${levels})
    add_library(tarn_blocks_${level} OBJECT ${PROJECT_SOURCE_DIR}/src/cpu/blocks.cpp)
    target_link_libraries(tarn_blocks_${level} PRIVATE tarn_flags)
    target_compile_definitions(tarn_blocks_${level} PRIVATE TARN_BLOCKS=blocks_${level})
    target_compile_options(tarn_blocks_${level} PRIVATE ${maths} ${flags_${level}}
                           $<$<CXX_COMPILER_ID:Clang>:-Wno-pass-failed>)
    set_target_properties(tarn_blocks_${level} PROPERTIES POSITION_INDEPENDENT_CODE ON)
    list(APPEND made tarn_blocks_${level})
  endforeach()
  include(TarnHeavy OPTIONAL)
  set(TARN_ROOMS ${TARN_ROOMS} ${made} PARENT_SCOPE)
endfunction()

function(tarn_library)
  set(objects "")
  foreach(room ${TARN_ROOMS})
    list(APPEND objects $<TARGET_OBJECTS:${room}>)
  endforeach()
  add_library(tarn ${objects})
  add_library(tarn::tarn ALIAS tarn)
  target_compile_features(tarn PUBLIC cxx_std_20)
  target_include_directories(tarn PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>
                             $<INSTALL_INTERFACE:include>)
  target_link_libraries(tarn PRIVATE fmt::fmt ${TARN_LINKS})
  set_target_properties(tarn PROPERTIES VERSION ${PROJECT_VERSION} SOVERSION 0)
endfunction()
