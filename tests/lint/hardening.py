#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A release is hardened: PIE, full RELRO, no executable stack, stack protector, fortified calls."""
import subprocess
import sys


def readelf(option, file):
    return subprocess.run(["readelf", "-W", option, file], check=True, text=True,
                          stdout=subprocess.PIPE).stdout


def faults(file):
    head, segments = readelf("-h", file), readelf("-l", file)
    dynamic, symbols = readelf("-d", file), readelf("--dyn-syms", file)
    stack = next((line for line in segments.splitlines() if "GNU_STACK" in line), "")
    checks = {
        "position independent": "DYN" in head,
        "read-only after relocation": "GNU_RELRO" in segments,
        "bound at start": "BIND_NOW" in dynamic or "NOW" in dynamic,
        "stack not executable": stack and "RWE" not in stack,
        "stack protector": "__stack_chk_fail" in symbols,
        "fortified calls": "_chk@" in symbols,
        "no text relocations": "TEXTREL" not in dynamic,
    }
    return [what for what, holds in checks.items() if not holds]


def main():
    bad = 0
    for file in sys.argv[1:]:
        for what in faults(file):
            print(f"{file}: not {what}")
            bad = 1
    return bad


if __name__ == "__main__":
    sys.exit(main())
