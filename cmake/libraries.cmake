# SPDX-License-Identifier: MIT
# The libraries of the core: found by pkg-config, all in Debian 12.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
pkg_check_modules(TG_CORE REQUIRED IMPORTED_TARGET
  libuv>=1.44 libcrypto>=3.0 sqlite3>=3.40 zlib jansson libxxhash libqrencode libdeflate)
set(TG_LIBRARIES PkgConfig::TG_CORE Threads::Threads m)

# Clients of servers are built in where their library is found; TG_REDIS=OFF leaves it out.
option(TG_REDIS "build the Redis client, if hiredis is there" ON)
if(TG_REDIS)
  pkg_check_modules(TG_HIREDIS IMPORTED_TARGET hiredis>=0.14)
endif()
if(TG_REDIS AND TG_HIREDIS_FOUND)
  list(APPEND TG_LIBRARIES PkgConfig::TG_HIREDIS)
  set(TG_PC_OPTIONAL hiredis)
  add_compile_definitions(TG_HAVE_HIREDIS)
endif()

option(TG_RABBITMQ "build the RabbitMQ client, if librabbitmq is there" ON)
if(TG_RABBITMQ)
  pkg_check_modules(TG_LIBRABBITMQ IMPORTED_TARGET librabbitmq>=0.11)
endif()
if(TG_RABBITMQ AND TG_LIBRABBITMQ_FOUND)
  list(APPEND TG_LIBRARIES PkgConfig::TG_LIBRABBITMQ)
  string(APPEND TG_PC_OPTIONAL " librabbitmq")
  add_compile_definitions(TG_HAVE_RABBITMQ)
endif()

option(TG_HTTP "build the HTTP client, for SQS, if libcurl is there" ON)
if(TG_HTTP)
  pkg_check_modules(TG_LIBCURL IMPORTED_TARGET libcurl>=7.85)
endif()
if(TG_HTTP AND TG_LIBCURL_FOUND)
  list(APPEND TG_LIBRARIES PkgConfig::TG_LIBCURL)
  # Not required by name: `pkg-config --static` would ask for all that libcurl itself is built on,
  # which Debian does not install with it. The shared library is linked.
  string(JOIN " " TG_PC_LIBS ${TG_PC_LIBS} ${TG_LIBCURL_LDFLAGS})
  add_compile_definitions(TG_HAVE_CURL)
endif()

option(TG_POSTGRES "build the PostgreSQL client, if libpq is there" ON)
if(TG_POSTGRES)
  pkg_check_modules(TG_LIBPQ IMPORTED_TARGET libpq>=13)
endif()
if(TG_POSTGRES AND TG_LIBPQ_FOUND)
  list(APPEND TG_LIBRARIES PkgConfig::TG_LIBPQ)
  string(JOIN " " TG_PC_LIBS ${TG_PC_LIBS} ${TG_LIBPQ_LDFLAGS}) # as libcurl
  add_compile_definitions(TG_HAVE_POSTGRES)
endif()

# `tgdata version` names them.
set(versions "")
foreach(library libuv libcrypto sqlite3 zlib jansson libxxhash libqrencode libdeflate)
  list(APPEND versions "\"${library} ${TG_CORE_${library}_VERSION}\"")
endforeach()
if(TG_REDIS AND TG_HIREDIS_FOUND)
  list(APPEND versions "\"hiredis ${TG_HIREDIS_VERSION}\"")
endif()
if(TG_RABBITMQ AND TG_LIBRABBITMQ_FOUND)
  list(APPEND versions "\"librabbitmq ${TG_LIBRABBITMQ_VERSION}\"")
endif()
if(TG_HTTP AND TG_LIBCURL_FOUND)
  list(APPEND versions "\"libcurl ${TG_LIBCURL_VERSION}\"")
endif()
if(TG_POSTGRES AND TG_LIBPQ_FOUND)
  list(APPEND versions "\"libpq ${TG_LIBPQ_VERSION}\"")
endif()
list(JOIN versions ", " TG_LIBRARY_VERSIONS)
set_source_files_properties(src/etl/version.c PROPERTIES
  COMPILE_DEFINITIONS "TG_LIBRARY_VERSIONS=${TG_LIBRARY_VERSIONS}")
