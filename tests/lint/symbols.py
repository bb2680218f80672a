#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The shared library exports exactly the functions that the public headers declare."""
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]


def declared():
    names = set()
    for path in ROOT.glob("include/tgdata/*.h"):
        text = re.sub(r"/\*.*?\*/", " ", path.read_text(encoding="utf-8"), flags=re.S)
        for match in re.finditer(r"^TG_API\s[^;(]*?\b(\w+)\s*\(", text, re.M):
            names.add(match[1])
    return names


def exported(library):
    out = subprocess.run(["nm", "-D", "--defined-only", library], check=True, text=True,
                         stdout=subprocess.PIPE).stdout
    kinds = {line.split()[-1].split("@")[0] for line in out.splitlines()}
    # What sanitizers and the compiler's own start files add is not ours.
    return {name for name in kinds if not re.match(r"_|asan|ubsan|tsan|__", name)}


def main():
    want, have = declared(), exported(sys.argv[1])
    for name in sorted(want - have):
        print(f"declared but not exported: {name}")
    for name in sorted(have - want):
        print(f"exported but not declared: {name}")
    print(f"{len(want & have)} functions exported")
    return 1 if want != have or not want else 0


if __name__ == "__main__":
    sys.exit(main())
