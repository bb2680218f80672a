/* SPDX-License-Identifier: MIT */
/*
 * xml.h - reads the small XML documents that S3 answers with
 *
 *   <List><Name>b</Name><Item><Key>a&amp;b</Key><Size>3</Size></Item></List>
 *   -> (List, Name, "b") (Item, Key, "a&b") (Item, Size, "3") (List, Item, end) ("", List, end)
 *
 * Attributes, comments and instructions are passed over. There are no entities but those of every
 * document and numbered characters, so that nothing expands; CDATA and DOCTYPE are refused.
 *
 * Threads: none: a pure function      Limits: 16 elements in each other, values of 4 KiB
 */
#ifndef TG_CLIENT_XML_H
#define TG_CLIENT_XML_H

#include "base/text.h"

enum { TG_XML_DEPTH = 16, TG_XML_VALUE_MAX = 4096 };

/** Called at the end of each element. @param value  its text, ended by a NUL; NULL if it holds
 *  elements  @return false to stop */
typedef bool (*tg_xml_seen)(void *ctx, struct tg_str parent, struct tg_str name, const char *value);

/** @return whether the document is whole and well-formed, as far as it was read */
bool tg_xml_read(const void *text, size_t len, tg_xml_seen seen, void *ctx);

#endif
