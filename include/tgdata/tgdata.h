/* SPDX-License-Identifier: MIT */
/* tgdata.h - everything: include this */
#ifndef TGDATA_TGDATA_H
#define TGDATA_TGDATA_H

#include "tgdata/account.h"
#include "tgdata/config.h"
#include "tgdata/config_file.h"
#include "tgdata/describe.h"
#include "tgdata/error.h"
#include "tgdata/extract.h"
#include "tgdata/letters.h"
#include "tgdata/log.h"
#include "tgdata/observe.h"
#include "tgdata/parallel.h"
#include "tgdata/quality.h"
#include "tgdata/row.h"
#include "tgdata/schedule.h"
#include "tgdata/scheduler.h"
#include "tgdata/stage.h"
#include "tgdata/state.h"
#include "tgdata/stream.h"
#include "tgdata/transform.h"
#include "tgdata/version.h"
#include "tgdata/worker.h"

#endif
