# Everything limpid builds on, found as Debian 12 packages it, behind one private target.

# limpid_require(PACKAGE DEBIAN_PACKAGE [find_package arguments]): finds it, or says in one message what to install.
macro(limpid_require package debian_package)
  find_package(${package} QUIET ${ARGN})
  if(NOT ${package}_FOUND)
    message(FATAL_ERROR "limpid: expected ${package}, not found: install ${debian_package} (scripts/setup.sh [--all] does)")
  endif()
endmacro()

# limpid_at_least(PACKAGE VERSION): compares by itself, for some of these packages call every other major incompatible.
function(limpid_at_least package version)
  if(${package}_VERSION VERSION_LESS version)
    message(FATAL_ERROR "limpid: expected ${package} ${version} or later, got ${${package}_VERSION}")
  endif()
endfunction()

# Imported targets are global: a project that adds limpid as a subdirectory must see them to link a static limpid.
set(CMAKE_FIND_PACKAGE_TARGETS_GLOBAL ON)
set(THREADS_PREFER_PTHREAD_FLAG ON)

# One OpenMP runtime per process. g++ uses libgomp, as Debian's oneDNN and OpenBLAS do. clang knows only libomp, which
# also exports libgomp's entry points: limpid names it first, so that oneDNN and OpenBLAS run on its pool and libgomp,
# though loaded, never starts one.
limpid_require(OpenMP "g++, or libomp-dev for clang" COMPONENTS CXX)
limpid_require(Threads libc6-dev)
limpid_require(xtl xtl-dev)
limpid_require(xtensor libxtensor-dev)
limpid_at_least(xtensor 0.24)
limpid_require(xsimd libxsimd-dev)
limpid_at_least(xsimd 8)
limpid_require(spdlog libspdlog-dev)
limpid_require(ZLIB zlib1g-dev)
limpid_require(nlohmann_json nlohmann-json3-dev)
limpid_require(onednn libdnnl-dev)
limpid_require(cblas libopenblas-openmp-dev)
# LAPACK is OpenBLAS's own, in the library that has BLAS: one copy of it, and one pool of threads. LAPACKE is but its
# headers here; its library would bring in whichever LAPACK and BLAS the system prefers, beside these.
limpid_require(lapack_headers liblapacke-dev)
include(CheckCXXSourceCompiles)
set(CMAKE_REQUIRED_LIBRARIES cblas::cblas)
check_cxx_source_compiles("extern \"C\" void dgesdd_(); int main() { dgesdd_(); }" LIMPID_HAS_LAPACK)
unset(CMAKE_REQUIRED_LIBRARIES)
if(NOT LIMPID_HAS_LAPACK)
  message(FATAL_ERROR "limpid: expected an OpenBLAS with LAPACK, got ${cblas_LIBRARY} without: install libopenblas-openmp-dev")
endif()

# glibc 2.35's vectors of the functions in <cmath>, by the names that they have for AVX2: libm's linker script finds them.
check_cxx_source_compiles("extern \"C\" void _ZGVdN8vv_hypotf(); int main() { _ZGVdN8vv_hypotf(); }" LIMPID_HAS_LIBMVEC)

find_path(LIMPID_STB_INCLUDE_DIR stb_image_write.h PATH_SUFFIXES stb)
mark_as_advanced(LIMPID_STB_INCLUDE_DIR)
if(NOT LIMPID_STB_INCLUDE_DIR)
  message(FATAL_ERROR "limpid: expected stb_image_write.h, not found: install libstb-dev (scripts/setup.sh does)")
endif()

# Headers alone: xtensor's and xsimd's own targets may add defines and flags that are not ours to give.
set(LIMPID_XTENSOR_INCLUDE_DIRS "")
foreach(package xtl xtensor xsimd)
  foreach(target ${package}::${package} ${package})
    if(TARGET ${target})
      get_target_property(directories ${target} INTERFACE_INCLUDE_DIRECTORIES)
      set(${package}_headers ${directories})
      break()
    endif()
  endforeach()
endforeach()
list(APPEND LIMPID_XTENSOR_INCLUDE_DIRS ${xtl_headers} ${xtensor_headers})
list(REMOVE_DUPLICATES LIMPID_XTENSOR_INCLUDE_DIRS)

add_library(limpid_dependencies INTERFACE)
target_include_directories(limpid_dependencies SYSTEM INTERFACE ${LIMPID_XTENSOR_INCLUDE_DIRS} ${xsimd_headers}
  ${LIMPID_STB_INCLUDE_DIR} ${lapack_headers_INCLUDE_DIR})
target_link_libraries(limpid_dependencies INTERFACE
  OpenMP::OpenMP_CXX Threads::Threads spdlog::spdlog nlohmann_json::nlohmann_json ZLIB::ZLIB onednn::onednn cblas::cblas)

# Source lines of anomalies and graphs: GCC's libbacktrace, which has its header and library among the compiler's own.
# clang finds the library of the GCC beside it; the header is linked to, for GCC's others are not for clang.
execute_process(COMMAND ${CMAKE_CXX_COMPILER} -print-file-name=libbacktrace.a OUTPUT_VARIABLE LIMPID_LIBBACKTRACE
  OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
get_filename_component(gcc_dir "${LIMPID_LIBBACKTRACE}" DIRECTORY)
if(IS_ABSOLUTE "${LIMPID_LIBBACKTRACE}" AND EXISTS ${gcc_dir}/include/backtrace.h)
  set(LIMPID_HAS_LIBBACKTRACE ON)
  file(MAKE_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR}/libbacktrace)
  file(CREATE_LINK ${gcc_dir}/include/backtrace.h ${CMAKE_CURRENT_BINARY_DIR}/libbacktrace/backtrace.h SYMBOLIC)
  target_link_libraries(limpid_dependencies INTERFACE ${LIMPID_LIBBACKTRACE})
else()
  set(LIMPID_HAS_LIBBACKTRACE OFF)
  message(STATUS "limpid: no libbacktrace beside the compiler: anomalies name functions instead of source lines")
endif()
target_link_libraries(limpid_dependencies INTERFACE ${CMAKE_DL_LIBS})
