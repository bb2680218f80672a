# The TL tables are generated at build time from schema/*.tl by tools/tlgen.
set(TG_SCHEMA_INCLUDE ${CMAKE_BINARY_DIR}/schema)
set(TG_SCHEMA_SOURCES "")
