# Everything limpid builds on, found as Debian 12 packages it, behind one private target.
find_package(Threads REQUIRED)
find_package(OpenMP REQUIRED COMPONENTS CXX)
find_package(xtl REQUIRED)
find_package(xtensor REQUIRED)
find_package(xsimd REQUIRED)
find_package(spdlog REQUIRED)
find_package(onednn REQUIRED)
find_package(OpenBLAS REQUIRED)

add_library(limpid_dependencies INTERFACE)
target_include_directories(limpid_dependencies SYSTEM INTERFACE ${OpenBLAS_INCLUDE_DIRS}
  $<TARGET_PROPERTY:xtensor,INTERFACE_INCLUDE_DIRECTORIES> $<TARGET_PROPERTY:xsimd,INTERFACE_INCLUDE_DIRECTORIES>)
target_link_libraries(limpid_dependencies INTERFACE
  OpenMP::OpenMP_CXX Threads::Threads spdlog::spdlog onednn::onednn ${OpenBLAS_LIBRARIES})
