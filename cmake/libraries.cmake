# SPDX-License-Identifier: MIT
# The libraries of the core: found by pkg-config, all in Debian 12.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
pkg_check_modules(TG_CORE REQUIRED IMPORTED_TARGET
  libuv>=1.44 libcrypto>=3.0 sqlite3>=3.40 zlib jansson libxxhash libqrencode libdeflate libzstd
  yaml-0.1)
set(TG_LIBRARIES PkgConfig::TG_CORE Threads::Threads m)

# `tgdata version` names them.
set(versions "")
foreach(library libuv libcrypto sqlite3 zlib jansson libxxhash libqrencode libdeflate libzstd
        yaml-0.1)
  list(APPEND versions "\"${library} ${TG_CORE_${library}_VERSION}\"")
endforeach()

# Clients of servers, and Lua, are built in where their library is found; TG_<option>=OFF leaves one
# out. `linked` is NAMED: whoever links the static library gets it by its name in tgdata.pc; or
# BARE: by its own flags alone, since by name `pkg-config --static` would ask for all that it is
# built on itself, which Debian does not install with it; or LOADED: not linked, the client does
# that itself.
macro(tg_client option what library least linked)
  option(TG_${option} "build with ${what}, if ${library} is there" ON)
  if(TG_${option})
    pkg_check_modules(TG_LIB_${option} IMPORTED_TARGET ${library}>=${least})
  endif()
  if(TG_${option} AND TG_LIB_${option}_FOUND)
    list(APPEND versions "\"${library} ${TG_LIB_${option}_VERSION}\"")
    add_compile_definitions(TG_HAVE_${option})
    if(${linked} STREQUAL LOADED)
      include_directories(SYSTEM ${TG_LIB_${option}_INCLUDE_DIRS})
    else()
      list(APPEND TG_LIBRARIES PkgConfig::TG_LIB_${option})
    endif()
    if(${linked} STREQUAL NAMED)
      string(APPEND TG_PC_OPTIONAL " ${library}")
    elseif(${linked} STREQUAL BARE)
      string(JOIN " " TG_PC_LIBS ${TG_PC_LIBS} ${TG_LIB_${option}_LDFLAGS})
    endif()
  endif()
endmacro()
tg_client(REDIS "Redis" hiredis 0.14 NAMED)
tg_client(RABBITMQ "RabbitMQ" librabbitmq 0.11 NAMED)
tg_client(HTTP "HTTP (AWS)" libcurl 7.85 BARE)
tg_client(POSTGRES "PostgreSQL" libpq 13 BARE)
tg_client(BSON "documents of MongoDB" libbson-1.0 1.17 BARE)
tg_client(MONGODB "MongoDB" libmongoc-1.0 1.17 LOADED)
tg_client(KAFKA "Kafka" rdkafka 2.0 BARE)
tg_client(HTTPD "metrics over HTTP" libmicrohttpd 0.9.73 BARE)
tg_client(LUA "Lua" lua5.4 5.4 NAMED)

list(JOIN versions ", " TG_LIBRARY_VERSIONS)
set_source_files_properties(src/etl/version.c PROPERTIES
  COMPILE_DEFINITIONS "TG_LIBRARY_VERSIONS=${TG_LIBRARY_VERSIONS}")
