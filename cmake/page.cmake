# SPDX-License-Identifier: MIT
# The files of the page (src/observe/page/), as arrays of a C file that is written when CMake is
# run: again whenever one of them has changed.
set(page_source ${CMAKE_BINARY_DIR}/page/page.gen.c)
set(page_text "#include \"observe/page.h\"\n")
foreach(row html:page.html css:page.css js:page.js parts:parts.js chart:chart.js state:state.js
    icon:icon.svg)
  string(REPLACE ":" ";" row ${row})
  list(GET row 0 file)
  list(GET row 1 path)
  set(path ${CMAKE_SOURCE_DIR}/src/observe/page/${path})
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${path})
  file(READ ${path} bytes HEX)
  string(REGEX REPLACE "(..)" "0x\\1," bytes "${bytes}")
  string(APPEND page_text "static const unsigned char ${file}[] = { ${bytes} };\n"
    "const struct tg_page_file tg_page_${file} = { ${file}, sizeof ${file} };\n")
endforeach()
file(CONFIGURE OUTPUT ${page_source} CONTENT "${page_text}" @ONLY)
list(APPEND TG_SOURCES ${page_source})
