# SPDX-License-Identifier: MIT
# The TL tables are generated at build time from schema/*.tl by tools/tlgen, a host program that is
# built from the parser the library has too.
set(TG_SCHEMA_INCLUDE ${CMAKE_BINARY_DIR}/schema)
file(MAKE_DIRECTORY ${TG_SCHEMA_INCLUDE})
file(GLOB TG_SCHEMA_FILES CONFIGURE_DEPENDS schema/*.tl)

# tl_names.gen.h is made by the run of tlgen itself: what tlgen compiles does not need it, but
# schema.h includes it, so the program is built against an empty one.
set(TG_TLGEN_INCLUDE ${CMAKE_BINARY_DIR}/tlgen-include)
file(CONFIGURE OUTPUT ${TG_TLGEN_INCLUDE}/tl_names.gen.h
  CONTENT "enum { TLN_NONE, TLN_COUNT };\n")
add_executable(tlgen tools/tlgen.c src/tl/parse.c src/tl/build.c src/tl/compile.c src/base/arena.c
  src/base/buf.c src/base/error.c src/base/utf8.c)
target_include_directories(tlgen PRIVATE include src ${TG_TLGEN_INCLUDE})
target_compile_definitions(tlgen PRIVATE _GNU_SOURCE)
target_link_libraries(tlgen PRIVATE tgdata_flags)

set(TG_SCHEMA_SOURCES ${TG_SCHEMA_INCLUDE}/tl_names.gen.c ${TG_SCHEMA_INCLUDE}/tl_errors.gen.c)
foreach(file ${TG_SCHEMA_FILES})
  get_filename_component(name ${file} NAME_WE)
  list(APPEND TG_SCHEMA_SOURCES ${TG_SCHEMA_INCLUDE}/${name}.gen.c)
endforeach()
add_custom_command(
  OUTPUT ${TG_SCHEMA_INCLUDE}/tl_names.gen.h ${TG_SCHEMA_SOURCES}
  COMMAND tlgen ${TG_SCHEMA_INCLUDE} ${CMAKE_SOURCE_DIR}/schema/errors.txt ${TG_SCHEMA_FILES}
  DEPENDS tlgen ${TG_SCHEMA_FILES} ${CMAKE_SOURCE_DIR}/schema/errors.txt
  COMMENT "Generating TL tables" VERBATIM)
list(APPEND TG_SCHEMA_SOURCES ${TG_SCHEMA_INCLUDE}/tl_names.gen.h)
