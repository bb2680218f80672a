# SPDX-License-Identifier: MIT
# `cmake --install`: program, headers, both libraries, pkg-config file.
include(GNUInstallDirs)
install(TARGETS tgdata_static tgdata_shared
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
if(TARGET tgdata)
  install(TARGETS tgdata RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()
install(DIRECTORY include/tgdata DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
# The file finds its prefix from where it stands, so an installation can be moved.
file(RELATIVE_PATH TG_PC_PREFIX ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
configure_file(cmake/tgdata.pc.in ${CMAKE_BINARY_DIR}/tgdata.pc @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/tgdata.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
