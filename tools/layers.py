#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checks over the #include lines that every folder uses only the layers below it."""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent

BASE = {"base"}
TELEGRAM = {"base", "tl", "crypto", "flow", "mtproto", "telegram"}
DRIVER = {"base", "os", "crypto", "client"}

# Folder: the folders it may include, itself aside. "tgdata" (the public headers) is open to all.
ALLOWED = {
    "base": set(),
    "tl": BASE,
    "crypto": BASE,
    "flow": BASE,
    "os": BASE,
    "mtproto": BASE | {"tl", "crypto"},
    "telegram": TELEGRAM,
    "export": BASE,
    "observe": {"base", "os", "crypto", "flow", "client"},
    "client": {"base", "os", "crypto"},
    "sink": DRIVER,
    "store": DRIVER,
    "queue": DRIVER,
    "quality": BASE | {"flow"},
    "stage": BASE | {"flow", "quality"},
    "source": TELEGRAM | {"os", "client"},
    "etl": TELEGRAM | DRIVER | {"export", "source", "sink", "store", "queue", "stage",
                              "quality", "observe"},
    "config": BASE,
    "cli": BASE,
    "sim": {"base", "os", "export", "crypto", "tl", "mtproto"},
}
# Single headers that are open to a folder besides.
ALSO = {
    "source": {"config/settings.h"},
    "observe": {"config/settings.h"},
    "stage": {"client/lua.h"},
    "etl": {"config/settings.h", "config/rules.h"},
    "config": {"sink/sink.h", "store/store.h", "stage/stage.h", "queue/broker.h"},
    "cli": {"sim/sim.h"},
}
# Libraries that one folder alone may see.
OWNER = {"openssl": "crypto", "uv.h": "os", "pthread.h": "os", "sqlite3.h": "client",
         "hiredis": "client", "amqp.h": "client", "amqp_tcp_socket.h": "client",
         "amqp_ssl_socket.h": "client", "curl": "client", "libpq-fe.h": "client",
         "librdkafka": "client", "mongoc": "client", "bson": "client",
         "microhttpd.h": "observe", "yaml.h": "config", "lua.h": "client",
         "lauxlib.h": "client", "lualib.h": "client"}
# The kernel's doors: protocol and policy code gets sockets, time and threads from its caller.
KERNEL = re.compile(r"(sys/(socket|epoll|poll|time|select)|netdb|netinet/.*|poll|threads|"
                    r"time|signal)\.h$")
PURE = {"tl", "mtproto", "telegram", "flow", "quality", "stage"}

INCLUDE = re.compile(r'^\s*#\s*include\s+(["<])([^">]+)[">]', re.M)


def folder_of(path):
    parts = path.relative_to(ROOT).parts
    return parts[1] if parts[0] == "src" else parts[0]


def complaint(folder, quote, name):
    if quote == "<":
        owner = next((o for key, o in OWNER.items() if name.split("/")[0] == key), None)
        if owner and owner != folder:
            return f"<{name}> belongs to {owner}/ alone"
        if folder in PURE and KERNEL.match(name):
            return f"<{name}>: {folder}/ has neither sockets nor clock nor threads"
        return None
    if "/" not in name:
        return None if name.endswith(".gen.h") else f'"{name}": includes name their folder'
    target = name.split("/")[0]
    if target == folder or target == "tgdata" or target in ALLOWED[folder]:
        return None
    if name in ALSO.get(folder, set()):
        return None
    return f'"{name}": {folder}/ may not use {target}/'


def main():
    problems = []
    for path in sorted([*ROOT.glob("src/*/*.[ch]"), *ROOT.glob("sim/*.[ch]")]):
        folder = folder_of(path)
        if folder not in ALLOWED:
            problems.append(f"{path.relative_to(ROOT)}: folder '{folder}' is not in the table")
            continue
        for match in INCLUDE.finditer(path.read_text(encoding="utf-8")):
            text = complaint(folder, match[1], match[2])
            if text:
                problems.append(f"{path.relative_to(ROOT)}: {text}")
    for path in sorted(ROOT.glob("include/tgdata/*.h")):
        for match in INCLUDE.finditer(path.read_text(encoding="utf-8")):
            if match[1] == '"' and not match[2].startswith("tgdata/"):
                problems.append(f"{path.relative_to(ROOT)}: a public header sees only such")
    print("\n".join(problems) if problems else "layers: every include points downwards")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
