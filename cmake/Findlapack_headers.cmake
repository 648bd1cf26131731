# The declarations of LAPACK's functions, as liblapacke-dev has them.
find_path(lapack_headers_INCLUDE_DIR lapack.h PATH_SUFFIXES lapacke lapack)
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(lapack_headers REQUIRED_VARS lapack_headers_INCLUDE_DIR
  REASON_FAILURE_MESSAGE "install liblapacke-dev")
mark_as_advanced(lapack_headers_INCLUDE_DIR)
