# limpid_compile_for_library(TARGET): the objects of TARGET become part of limpid, shared or static. Both are compiled
# alike and share the compiler cache.
function(limpid_compile_for_library target)
  set_target_properties(${target} PROPERTIES POSITION_INDEPENDENT_CODE ON VISIBILITY_INLINES_HIDDEN ON)
  # clang takes the visibility of a function from the block that defines it, which is not the header's that exports it:
  # there cmake/exports.map alone draws the border.
  if(NOT CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
    set_target_properties(${target} PROPERTIES CXX_VISIBILITY_PRESET hidden)
  endif()
endfunction()

# limpid_kernels(SOURCE... [EXCEPT ISA...]): compiles each kernel source once per instruction set, but for those given,
# into objects of limpid.
#
# A kernel source sees LIMPID_KERNEL_ISA, the namespace it must put its one exported table into (baseline, avx2, avx512
# or neon), and exports nothing else: all other names live in an unnamed namespace, so that no inline function compiled
# for a larger instruction set can be picked by the linker for a smaller one.
set(LIMPID_KERNEL_FLAGS_baseline "")
set(LIMPID_KERNEL_FLAGS_avx2 -mavx2 -mfma -mf16c)
set(LIMPID_KERNEL_FLAGS_avx512 -mavx512f -mavx512cd -mavx512dq -mavx512bw -mavx512vl -mavx2 -mfma -mf16c)
# GCC 12 takes the undefined registers of its own AVX-512 intrinsics for ours (GCC bug 105593).
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  list(APPEND LIMPID_KERNEL_FLAGS_avx512 -Wno-maybe-uninitialized -Wno-uninitialized)
endif()
set(LIMPID_KERNEL_FLAGS_neon "")  # every aarch64 has it
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  set(LIMPID_KERNEL_ISAS baseline avx2 avx512)
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "aarch64|arm64")
  set(LIMPID_KERNEL_ISAS neon)
else()
  set(LIMPID_KERNEL_ISAS baseline)
endif()
list(GET LIMPID_KERNEL_ISAS 0 LIMPID_LOWEST_ISA)
list(TRANSFORM LIMPID_KERNEL_ISAS PREPEND limpid_kernels_ OUTPUT_VARIABLE LIMPID_KERNEL_TARGETS)

# What all kernels are compiled with, after limpid_flags. -O3 in every build type, so that nothing inline is left to the
# linker. Sanitized, a kernel is looked at for what it can do wrong, past the ends of its arrays above all, in a sixth of
# the time that all checks would take (GCC 12, the largest: 35 s of 190): an access is checked by a call instead of a
# branch in line; inlined locals, of which there are thousands, are not marked as they come and go; null pointers, which
# the address sanitizer meets anyway, as it does what one that wrapped around would be used for (half of clang's time),
# sizes of objects, which it knows, and alignment, which loads of vectors do not ask for, are left out; and the compiler
# does not ask what may point where. The thread sanitizer's kernels run on one thread, for few elements: -O0 compiles them
# in half the time.
add_library(limpid_kernel_flags INTERFACE)
if(LIMPID_SANITIZE MATCHES thread)
  target_compile_options(limpid_kernel_flags INTERFACE -O0)
elseif(LIMPID_SANITIZE)
  target_compile_options(limpid_kernel_flags INTERFACE -O1)
else()
  target_compile_options(limpid_kernel_flags INTERFACE -O3)
endif()
if(LIMPID_SANITIZE AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  target_compile_options(limpid_kernel_flags INTERFACE -fno-tree-pta)
endif()
if(LIMPID_SANITIZE MATCHES address)
  target_compile_options(limpid_kernel_flags INTERFACE -fno-sanitize-address-use-after-scope)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    target_compile_options(limpid_kernel_flags INTERFACE --param=asan-instrumentation-with-call-threshold=0)
  else()
    target_compile_options(limpid_kernel_flags INTERFACE "SHELL:-mllvm -asan-instrumentation-with-call-threshold=0")
  endif()
endif()
if(LIMPID_SANITIZE MATCHES undefined)
  target_compile_options(limpid_kernel_flags INTERFACE
    -fno-sanitize=null,alignment,object-size,pointer-overflow,vptr,nonnull-attribute,returns-nonnull-attribute)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
    # Where xsimd has no instruction for it, it makes integers of numbers beyond them one by one, and drops the results.
    target_compile_options(limpid_kernel_flags INTERFACE -fno-sanitize=float-cast-overflow)
    # Else it does in a vector what a branch not taken would do with operands that it has not loaded: leaky_relu of
    # infinity signals an invalid operation. Not for a release: clang then makes no vectors of loops.
    target_compile_options(limpid_kernel_flags INTERFACE -ffp-exception-behavior=maytrap)
  endif()
endif()

function(limpid_kernels)
  cmake_parse_arguments(arg "" "" "EXCEPT" ${ARGN})
  set(isas ${LIMPID_KERNEL_ISAS})
  list(REMOVE_ITEM isas "" ${arg_EXCEPT})
  foreach(isa IN LISTS isas)
    set(target limpid_kernels_${isa})
    if(NOT TARGET ${target})
      add_library(${target} OBJECT)
      target_include_directories(${target} PRIVATE ${LIMPID_INCLUDE_DIR})
      target_compile_definitions(${target} PRIVATE LIMPID_KERNEL_ISA=${isa})
      target_compile_options(${target} PRIVATE ${LIMPID_KERNEL_FLAGS_${isa}})
      target_link_libraries(${target} PRIVATE limpid_flags limpid_kernel_flags limpid_dependencies)
      limpid_compile_for_library(${target})
    endif()
    list(TRANSFORM arg_UNPARSED_ARGUMENTS PREPEND ${CMAKE_CURRENT_SOURCE_DIR}/ OUTPUT_VARIABLE sources)
    target_sources(${target} PRIVATE ${sources})
  endforeach()
endfunction()
