# limpid_glob(VARIABLE PATTERN): the files that match, in all folders below. None: an error, for a list that has lost its
# files would pass for one that has nothing to say.
function(limpid_glob variable pattern)
  if(CMAKE_SCRIPT_MODE_FILE)
    file(GLOB_RECURSE found ${pattern})
  else()
    file(GLOB_RECURSE found CONFIGURE_DEPENDS ${pattern})
  endif()
  if(NOT found)
    message(FATAL_ERROR "limpid: expected files that match ${pattern}, got none")
  endif()
  set(${variable} ${found} PARENT_SCOPE)
endfunction()
