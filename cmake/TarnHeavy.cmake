# The heavy kernels, once a level. Included by tarn_cpu_units().
file(GLOB heavy_units CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/cpu/heavy_*.cpp)
set(heavy_levels ${levels})
set(heavy_flags_avx2 -mavx2 -mfma -mf16c -mbmi -mbmi2)
set(heavy_flags_avx512 ${heavy_flags_avx2} -mavx512f -mavx512bw -mavx512vl -mavx512dq
    -mprefer-vector-width=512)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  list(APPEND heavy_levels vnni)
  set(heavy_flags_vnni ${heavy_flags_avx512} -mavx512vnni -mavx512vbmi -mgfni)
endif()
foreach(level ${heavy_levels})
  add_library(tarn_heavy_${level} OBJECT ${heavy_units})
  target_link_libraries(tarn_heavy_${level} PRIVATE tarn_flags)
  target_compile_definitions(tarn_heavy_${level} PRIVATE TARN_LEVEL=${level})
  target_compile_options(tarn_heavy_${level} PRIVATE ${maths} ${heavy_flags_${level}}
                         $<$<CXX_COMPILER_ID:Clang>:-Wno-pass-failed>)
  set_target_properties(tarn_heavy_${level} PROPERTIES POSITION_INDEPENDENT_CODE ON)
  list(APPEND made tarn_heavy_${level})
endforeach()
