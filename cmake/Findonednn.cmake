# oneDNN without its own package file, which on Debian insists on OpenCL's headers; we use the CPU engine alone.
find_path(onednn_INCLUDE_DIR oneapi/dnnl/dnnl.hpp)
find_library(onednn_LIBRARY dnnl)
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(onednn REQUIRED_VARS onednn_LIBRARY onednn_INCLUDE_DIR
  REASON_FAILURE_MESSAGE "install libdnnl-dev")
if(onednn_FOUND AND NOT TARGET onednn::onednn)
  add_library(onednn::onednn UNKNOWN IMPORTED GLOBAL)
  set_target_properties(onednn::onednn PROPERTIES IMPORTED_LOCATION ${onednn_LIBRARY}
    INTERFACE_INCLUDE_DIRECTORIES ${onednn_INCLUDE_DIR})
endif()
mark_as_advanced(onednn_INCLUDE_DIR onednn_LIBRARY)
