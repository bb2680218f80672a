# SPDX-License-Identifier: MIT
# `cmake --install`: program, headers, both libraries, pkg-config file, manual pages, completions.
include(GNUInstallDirs)
install(TARGETS tgdata_static tgdata_shared
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
if(TARGET tgdata)
  install(TARGETS tgdata RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()
if(TARGET tgdata AND NOT CMAKE_CROSSCOMPILING) # they are written by the program itself
  set(TG_PAGES ${CMAKE_BINARY_DIR}/pages)
  add_custom_command(OUTPUT ${TG_PAGES}.complete
    COMMAND ${CMAKE_COMMAND} -DTGDATA=$<TARGET_FILE:tgdata> -DDIR=${TG_PAGES}
      -P ${CMAKE_SOURCE_DIR}/cmake/pages.cmake
    DEPENDS tgdata ${CMAKE_SOURCE_DIR}/cmake/pages.cmake VERBATIM)
  add_custom_target(pages ALL DEPENDS ${TG_PAGES}.complete)
  install(DIRECTORY ${TG_PAGES}/man/ DESTINATION ${CMAKE_INSTALL_MANDIR})
  install(DIRECTORY ${TG_PAGES}/bash-completion ${TG_PAGES}/zsh ${TG_PAGES}/fish
    DESTINATION ${CMAKE_INSTALL_DATADIR})
endif()
install(DIRECTORY include/tgdata DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
# The file finds its prefix from where it stands, so an installation can be moved.
file(RELATIVE_PATH TG_PC_PREFIX ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
configure_file(cmake/tgdata.pc.in ${CMAKE_BINARY_DIR}/tgdata.pc @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/tgdata.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
