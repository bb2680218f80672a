/* SPDX-License-Identifier: MIT */
/*
 * page.h - the files of the page that is served at "/", as they stand in page/
 *
 * The build makes their bytes a part of the program (cmake/page.cmake): nothing is read at run
 * time, and nothing is loaded from elsewhere.
 *
 * Threads: any: constants
 */
#ifndef TG_OBSERVE_PAGE_H
#define TG_OBSERVE_PAGE_H

#include <stddef.h>

struct tg_page_file {
    const unsigned char *bytes;
    size_t len;
};

extern const struct tg_page_file tg_page_html, tg_page_css, tg_page_js, tg_page_parts,
    tg_page_chart, tg_page_state, tg_page_icon;

#endif
