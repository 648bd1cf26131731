# Compiling the sources of a folder at once (LIMPID_UNITY): headers are read once for all of them, and inline functions
# and templates made once. What is compiled so is called a unit. Which sources one has is found when CMake runs: after a
# change of what a test includes, configure again.

# limpid_looks_inside(RESULT FILE): whether a source or header of the tests includes internal headers, itself or by a
# header of the tests.
function(limpid_looks_inside result file)
  get_property(inside GLOBAL PROPERTY limpid_looks_inside:${file})
  if(NOT DEFINED inside)
    set(inside OFF)
    cmake_path(GET file PARENT_PATH folder)
    file(STRINGS ${file} includes REGEX "^#include ")
    foreach(include IN LISTS includes)
      set(header "")
      if(include MATCHES "<limpid/(.*/)?(detail|kernels)/")
        set(inside ON)
      elseif(include MATCHES "<limpid/(tests/.*)>")
        set(header ${PROJECT_SOURCE_DIR}/${CMAKE_MATCH_1})
      elseif(include MATCHES "\"(.*)\"")
        cmake_path(ABSOLUTE_PATH CMAKE_MATCH_1 BASE_DIRECTORY ${folder} NORMALIZE OUTPUT_VARIABLE header)
      endif()
      if(header AND EXISTS ${header})
        limpid_looks_inside(inside ${header})
      endif()
      if(inside)
        break()
      endif()
    endforeach()
    set_property(GLOBAL PROPERTY limpid_looks_inside:${file} ${inside})
  endif()
  set(${result} ${inside} PARENT_SCOPE)
endfunction()

# limpid_unit(RESULT SOURCE): the name of the unit of a source, given by its full path, which is its folder's. Apart from
# the rest of a folder are sources with options of their own, and tests that look inside: what the others ask of the
# library is read from their objects (tests/checks/symbols.py). None: the source is compiled alone.
function(limpid_unit result source)
  get_source_file_property(alone ${source} SKIP_UNITY_BUILD_INCLUSION)
  get_source_file_property(definitions ${source} COMPILE_DEFINITIONS)
  if(alone OR definitions)
    set(${result} "" PARENT_SCOPE)
    return()
  endif()
  cmake_path(GET source PARENT_PATH folder)
  cmake_path(RELATIVE_PATH folder BASE_DIRECTORY ${PROJECT_SOURCE_DIR})
  set(unit ${folder})
  if(unit MATCHES "^tests/")
    limpid_looks_inside(inside ${source})
    if(inside)
      string(APPEND unit _inside)
    endif()
  endif()
  get_source_file_property(options ${source} COMPILE_OPTIONS)
  if(options)
    string(APPEND unit _${options})
  endif()
  string(REGEX REPLACE "[^A-Za-z0-9]+" _ unit "${unit}")
  set(${result} ${unit} PARENT_SCOPE)
endfunction()

# limpid_unit_source(RESULT UNIT): the source that CMake makes of a unit, in its target's folder of objects.
function(limpid_unit_source result unit)
  set(${result} Unity/unity_${unit}_cxx.cxx PARENT_SCOPE)
endfunction()

# limpid_unit_options(TARGET UNIT OPTION...): options for one unit of a target made in this folder. Stops where the target
# has none of that name.
function(limpid_unit_options target unit)
  get_target_property(units ${target} LIMPID_UNITS)
  if(NOT unit IN_LIST units)
    message(FATAL_ERROR "limpid: expected a unit of ${target}, got ${unit}; there are ${units}")
  endif()
  limpid_unit_source(source ${unit})
  set_source_files_properties(${CMAKE_CURRENT_BINARY_DIR}/CMakeFiles/${target}.dir/${source}
    PROPERTIES COMPILE_OPTIONS "${ARGN}")
endfunction()

# limpid_by_folder(TARGET): compiles the sources of a target, made in this folder, as LIMPID_UNITY says.
function(limpid_by_folder target)
  if(NOT LIMPID_UNITY)
    return()
  endif()
  set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_MODE GROUP)
  get_target_property(sources ${target} SOURCES)
  list(FILTER sources INCLUDE REGEX "[.]cpp$")
  foreach(source IN LISTS sources)
    cmake_path(ABSOLUTE_PATH source NORMALIZE)
    limpid_unit(unit ${source})
    if(unit)
      get_target_property(units ${target} LIMPID_UNITS)
      if(NOT unit IN_LIST units)
        set_property(TARGET ${target} APPEND PROPERTY LIMPID_UNITS ${unit})
      endif()
      # CMake leaves a source that has options out of its group: they are handed to the unit. So such a source belongs to
      # one target of its folder.
      get_source_file_property(options ${source} COMPILE_OPTIONS)
      if(options)
        limpid_unit_options(${target} ${unit} ${options})
        set_property(SOURCE ${source} PROPERTY COMPILE_OPTIONS)
      endif()
      set_source_files_properties(${source} PROPERTIES UNITY_GROUP ${unit})
    endif()
  endforeach()
endfunction()
