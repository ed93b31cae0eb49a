# Headers, one library, a CMake package and a pkg-config file.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/tarn DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
        FILES_MATCHING PATTERN "*.h")
install(DIRECTORY ${PROJECT_SOURCE_DIR}/bindings/mlx/include/mlx
        DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/tarn-mlx FILES_MATCHING PATTERN "*.h")
install(TARGETS tarn tarn_mlx EXPORT tarn-targets
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}
        LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
        RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(EXPORT tarn-targets NAMESPACE tarn:: DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/tarn)
configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/tarn-config.cmake.in
                              ${PROJECT_BINARY_DIR}/tarn-config.cmake
                              INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/tarn)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/tarn-config-version.cmake
                                 COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/tarn-config.cmake ${PROJECT_BINARY_DIR}/tarn-config-version.cmake
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/tarn)
# A program that links the archive links what it needs, too. Not by `pkg-config --static`: that asks
# for archives of everything below as well, compression and TLS, which nobody has installed.
get_target_property(kind tarn TYPE)
if(kind STREQUAL "STATIC_LIBRARY")
  set(TARN_PC_REQUIRES Requires)
  set(TARN_PC_LIBS "-L\${libdir} -ltarn -pthread -lstdc++")
else()
  set(TARN_PC_REQUIRES Requires.private)
  set(TARN_PC_LIBS "-L\${libdir} -ltarn")
endif()
configure_file(${PROJECT_SOURCE_DIR}/cmake/tarn.pc.in ${PROJECT_BINARY_DIR}/tarn.pc @ONLY)
configure_file(${PROJECT_SOURCE_DIR}/cmake/tarn-mlx.pc.in ${PROJECT_BINARY_DIR}/tarn-mlx.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/tarn.pc ${PROJECT_BINARY_DIR}/tarn-mlx.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
if(TARGET tarn_cli)
  install(TARGETS tarn_cli RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()
