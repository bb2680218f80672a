/* SPDX-License-Identifier: MIT */
/*
 * zoneinfo.c - see zoneinfo.h
 */
#include "os/zoneinfo.h"

#include <ctype.h>
#include <stdlib.h>

#include "os/fs.h"

enum { FILE_MAX = 256 << 10, NAME_MAX_ = 64 };

/* Every part of the path begins with a letter: no part can be "..", none is hidden. */
static bool is_name(const char *zone)
{
    bool begins = true;

    for (const char *p = zone; *p; begins = *p == '/', p++)
        if (begins ? !isalpha((unsigned char)*p)
                   : !isalnum((unsigned char)*p) && !strchr("_+-/", *p))
            return false;
    return !begins && strlen(zone) < NAME_MAX_;
}

tg_code tg_zoneinfo_read(const char *zone, struct tg_buf *out, struct tg_error *err)
{
    const char *dir = getenv("TZDIR");
    struct tg_dir *root;
    tg_code code;

    dir = dir && *dir ? dir : "/usr/share/zoneinfo";
    if (!is_name(zone)) {
        tg_fail(err, TG_NOT_FOUND, "there is no time zone '%.64s'", zone);
        return tg_hint(err, "zones have names such as Europe/Berlin, or UTC");
    }
    code = tg_fs_system.open_dir(&tg_fs_system, dir, false, &root, err);
    if (code == TG_OK) {
        code = tg_fs_read_all(&tg_fs_system, root, zone, FILE_MAX, out, err);
        tg_fs_system.close_dir(&tg_fs_system, root);
    }
    if (code != TG_NOT_FOUND)
        return code;
    tg_fail(err, TG_NOT_FOUND, "there is no time zone '%.64s' in %.100s", zone, dir);
    return tg_hint(err, "zones have names such as Europe/Berlin; the package tzdata has their "
                   "files, TZDIR says where they are");
}
