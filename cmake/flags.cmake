# SPDX-License-Identifier: MIT
# Warnings, hardening and sanitizers, as one interface target that everything links.
add_library(tgdata_flags INTERFACE)

target_compile_options(tgdata_flags INTERFACE
  -Wall -Wextra -Wshadow -Wpointer-arith -Wcast-qual -Wwrite-strings -Wstrict-prototypes
  -Wmissing-prototypes -Wformat=2 -Wundef -Wvla -Wimplicit-fallthrough
  -fno-strict-aliasing -fvisibility=hidden)
if(TG_WERROR)
  target_compile_options(tgdata_flags INTERFACE -Werror)
endif()

# Asserts guard our own mistakes and stay on in release builds.
foreach(type RELEASE RELWITHDEBINFO)
  string(REPLACE "-DNDEBUG" "" CMAKE_C_FLAGS_${type} "${CMAKE_C_FLAGS_${type}}")
endforeach()
string(REPLACE "-O3" "-O2 -g" CMAKE_C_FLAGS_RELEASE "${CMAKE_C_FLAGS_RELEASE}")

if(TG_SANITIZE)
  target_compile_options(tgdata_flags INTERFACE -fsanitize=${TG_SANITIZE} -fno-omit-frame-pointer
    -fno-sanitize-recover=all)
  target_link_options(tgdata_flags INTERFACE -fsanitize=${TG_SANITIZE})
elseif(CMAKE_BUILD_TYPE STREQUAL "Release")
  target_compile_options(tgdata_flags INTERFACE -fstack-protector-strong -fcf-protection
    -fstack-clash-protection -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
  target_link_options(tgdata_flags INTERFACE -Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack)
endif()
if(TG_FUZZ) # the fuzzer steers by the coverage of the library, not only of its own file
  target_compile_options(tgdata_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()
include(CheckPIESupported)
check_pie_supported()
