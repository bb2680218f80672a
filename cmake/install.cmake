# `cmake --install`: program, headers, both libraries, pkg-config file.
include(GNUInstallDirs)
install(TARGETS tgdata_static tgdata_shared
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
if(TARGET tgdata)
  install(TARGETS tgdata RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()
install(DIRECTORY include/tgdata DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
configure_file(cmake/tgdata.pc.in ${CMAKE_BINARY_DIR}/tgdata.pc @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/tgdata.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
