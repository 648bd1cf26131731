# The installed package: the library, its public headers, a CMake config file and a pkg-config file.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/limpid)

# A shared library brings its dependencies along; of a static one, they are linked by its users.
set(LIMPID_PC_LIBS "")
if(limpid_type STREQUAL "STATIC_LIBRARY")
  set(LIMPID_STATIC ON)
  foreach(target OpenMP::OpenMP_CXX Threads::Threads spdlog::spdlog ZLIB::ZLIB onednn::onednn cblas::cblas)
    target_link_libraries(limpid PRIVATE $<INSTALL_INTERFACE:${target}>)
  endforeach()
  get_filename_component(blas_dir ${cblas_LIBRARY} DIRECTORY)
  set(libbacktrace "")
  if(LIMPID_HAS_LIBBACKTRACE)
    target_link_libraries(limpid PRIVATE $<INSTALL_INTERFACE:${LIMPID_LIBBACKTRACE}>)
    set(libbacktrace ${LIMPID_LIBBACKTRACE})
  endif()
  string(JOIN " " LIMPID_PC_LIBS -ldnnl -L${blas_dir} -Wl,-rpath,${blas_dir} -lopenblas -lspdlog -lfmt -lz
    ${libbacktrace} ${OpenMP_CXX_FLAGS} -pthread)
else()
  set(LIMPID_STATIC OFF)
endif()

install(TARGETS limpid EXPORT limpid-targets INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(FILES limpid.hpp DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/limpid)
install(DIRECTORY core autograd ops nn DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/limpid
  FILES_MATCHING PATTERN "*.hpp" PATTERN detail EXCLUDE PATTERN kernels EXCLUDE PATTERN testing EXCLUDE)
install(DIRECTORY autograd/testing DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/limpid FILES_MATCHING PATTERN "*.hpp")

install(EXPORT limpid-targets NAMESPACE limpid:: DESTINATION ${package_dir})
configure_package_config_file(cmake/limpid-config.cmake.in limpid-config.cmake INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(limpid-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/limpid-config.cmake ${CMAKE_CURRENT_BINARY_DIR}/limpid-config-version.cmake
  DESTINATION ${package_dir})
if(LIMPID_STATIC)
  install(FILES cmake/Findcblas.cmake cmake/Findonednn.cmake DESTINATION ${package_dir})
endif()

# The pkg-config file finds its prefix from its own place, so that an installed tree can be moved.
set(pc_dir ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig)
file(RELATIVE_PATH pc_to_prefix ${pc_dir} ${CMAKE_INSTALL_PREFIX})
set(LIMPID_PC_PREFIX "\${pcfiledir}/${pc_to_prefix}")
cmake_path(ABSOLUTE_PATH CMAKE_INSTALL_LIBDIR BASE_DIRECTORY "\${prefix}" OUTPUT_VARIABLE LIMPID_PC_LIBDIR)
cmake_path(ABSOLUTE_PATH CMAKE_INSTALL_INCLUDEDIR BASE_DIRECTORY "\${prefix}" OUTPUT_VARIABLE LIMPID_PC_INCLUDEDIR)
# Outside /usr the loader does not look for the library by itself.
set(LIMPID_PC_RPATH "")
if(NOT LIMPID_STATIC AND NOT CMAKE_INSTALL_PREFIX MATCHES "^/(usr)?/?$")
  set(LIMPID_PC_RPATH "-Wl,-rpath,\${libdir} ")
endif()
# xtensor's headers, where they are not among the system's own.
set(LIMPID_PC_CFLAGS "")
foreach(definition IN LISTS LIMPID_PUBLIC_DEFINITIONS)
  string(APPEND LIMPID_PC_CFLAGS " -D${definition}")
endforeach()
foreach(directory IN LISTS LIMPID_XTENSOR_INCLUDE_DIRS)
  if(NOT directory IN_LIST CMAKE_CXX_IMPLICIT_INCLUDE_DIRECTORIES)
    string(APPEND LIMPID_PC_CFLAGS " -isystem ${directory}")
  endif()
endforeach()
configure_file(cmake/limpid.pc.in limpid.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/limpid.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
