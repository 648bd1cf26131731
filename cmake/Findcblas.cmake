# CBLAS by OpenBLAS, as an imported target. Debian installs one OpenBLAS per thread model; ours is the OpenMP one.
find_path(cblas_INCLUDE_DIR cblas.h
  PATH_SUFFIXES ${CMAKE_LIBRARY_ARCHITECTURE}/openblas-openmp openblas-openmp openblas)
find_library(cblas_LIBRARY openblas PATH_SUFFIXES openblas-openmp)
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(cblas REQUIRED_VARS cblas_LIBRARY cblas_INCLUDE_DIR
  REASON_FAILURE_MESSAGE "install libopenblas-openmp-dev")
if(cblas_FOUND AND NOT TARGET cblas::cblas)
  add_library(cblas::cblas UNKNOWN IMPORTED GLOBAL)
  set_target_properties(cblas::cblas PROPERTIES IMPORTED_LOCATION ${cblas_LIBRARY}
    INTERFACE_INCLUDE_DIRECTORIES ${cblas_INCLUDE_DIR})
endif()
mark_as_advanced(cblas_INCLUDE_DIR cblas_LIBRARY)
