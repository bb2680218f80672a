/* SPDX-License-Identifier: MIT */
/*
 * datacenter.c - fuzzes the file that names data centres
 *
 * What is taken must keep its own rules; what is refused must say why.
 */
#include <stdlib.h>

#include "telegram/datacenter.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool ok)
{
    if (!ok)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tg_datacenter d;
    struct tg_error err = { 0 };
    tg_code code = tg_datacenter_parse((const char *)data, size, &d, &err);

    if (code != TG_OK) {
        require(code == TG_DATA && err.message[0] && err.hint[0]);
        return 0;
    }
    require(d.n_dc >= 1 && d.n_dc <= TG_COUNT(d.dc) && d.n_rsa >= 1 && d.n_rsa <= 8);
    require(tg_datacenter_address(&d, d.main_dc) != NULL);
    for (size_t i = 0; i < d.n_dc; i++) {
        require(d.dc[i].id > 0 && d.dc[i].address.port && d.dc[i].address.host[0]);
        require(tg_datacenter_address(&d, d.dc[i].id) == &d.dc[i].address);
    }
    for (size_t i = 0; i < d.n_rsa; i++)
        require(d.rsa[i].e >= 3 && d.rsa[i].fingerprint);
    tg_datacenter_done(&d);
    return 0;
}
