# The plain C++ library: find_package(gradwire) then gradwire::gradwire.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

install(TARGETS gradwire EXPORT gradwireTargets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY cpp/include/gradwire DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(EXPORT gradwireTargets NAMESPACE gradwire::
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/gradwire)
configure_package_config_file(cpp/cmake/gradwireConfig.cmake.in gradwireConfig.cmake
  INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/gradwire)
write_basic_package_version_file(gradwireConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/gradwireConfig.cmake
              ${CMAKE_CURRENT_BINARY_DIR}/gradwireConfigVersion.cmake
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/gradwire)
