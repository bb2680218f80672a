#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Each public header compiles alone, as C17 and as C++, without a warning."""
import pathlib
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
WARNINGS = ["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only"]


def main():
    compilers = [("cc", ["-x", "c", "-std=c17", "-Wstrict-prototypes"]),
                 ("c++", ["-x", "c++", "-std=c++11"])]
    failed = 0
    for compiler, flags in compilers:
        if not shutil.which(compiler):
            print(f"{compiler} is missing")
            return 1
        for path in sorted(ROOT.glob("include/tgdata/*.h")):
            text = f'#include "tgdata/{path.name}"\n'
            run = subprocess.run([compiler, *flags, *WARNINGS, f"-I{ROOT}/include", "-"],
                                 input=text, text=True, stderr=subprocess.PIPE, check=False)
            if run.returncode:
                print(f"{compiler} {path.name}:\n{run.stderr}")
                failed += 1
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
