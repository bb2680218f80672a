#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Style that a tool can check: sizes, heads, banned functions and words."""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
COLUMNS, FILE_LINES, FUNCTION_LINES = 100, 600, 70
PARAMETERS = 8  # 5 are meant; what implements an interface may need more

FOLDERS = ["src/*", "sim", "include/tgdata", "tools", "tests", "tests/*", "fuzz", "bench",
           "examples"]
SCRIPTS = ["dev", ".ci/run", "tools/*.py", "tests/*/*.py", "tests/*/test_*", "CMakeLists.txt",
           "*/CMakeLists.txt", "cmake/*.cmake", "src/observe/page/*"]

BANNED = re.compile(r"\b(strcpy|strcat|sprintf|vsprintf|gets|atoi|atol|atof|strtok|alloca|rand|"
                    r"srand|tmpnam|mktemp|popen)\s*\(")
# Split so that this file does not find itself.
WORDS = re.compile(r"\b(" + "|".join(["TO" "DO", "FIX" "ME", "XX" "X", "HA" "CK", "st" "ub",
                                      "place" "holder", "for " "now", "simpli" "fied"]) + r")\b")
SPDX = "SPDX-License-Identifier: MIT"


def strip(text):
    """Blanks comments and literals, keeping every line where it is."""
    def blank(match):
        return re.sub(r"[^\n]", " ", match[0])
    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', blank, text,
                  flags=re.S)


def parameters(signature):
    depth = n = 0
    inside = signature[signature.find("("):]
    for c in inside:
        depth += (c == "(") - (c == ")")
        n += c == "," and depth == 1
        if depth == 0:
            break
    return n + 1


def functions(code):
    """(first line, last line, signature) of each function body that opens in column 0."""
    lines = code.split("\n")
    start = None
    for i, line in enumerate(lines):
        if line == "{":
            start = i
        elif line.startswith("}") and start is not None:
            first = start
            while first and lines[first - 1].strip() and not lines[first - 1].startswith("}") \
                    and not lines[first - 1].rstrip().endswith(";") \
                    and not lines[first - 1].startswith("#"):
                first -= 1
            yield first + 1, i + 1, " ".join(lines[first:start])
            start = None


def check_text(name, text, say):
    for i, line in enumerate(text.split("\n"), 1):
        if len(line) > COLUMNS:
            say(f"{name}:{i}: {len(line)} columns")
        if line != line.rstrip():
            say(f"{name}:{i}: ends in white space")
        if WORDS.search(line):
            say(f"{name}:{i}: says '{WORDS.search(line)[0]}'")
    if SPDX not in text[:300]:
        say(f"{name}: lacks its licence line")
    if not text.endswith("\n") or text.endswith("\n\n"):
        say(f"{name}: must end in one line end")


def check_c(name, text, say):
    code = strip(text)
    if "\t" in text:
        say(f"{name}: has tabs")
    if not re.match(r"/\* SPDX-License-Identifier: MIT \*/\n/\*", text):
        say(f"{name}: begins with licence line and head comment")
    if text.count("\n") > FILE_LINES * (2 if name.startswith("tests/") else 1):
        say(f"{name}: {text.count(chr(10))} lines, at most {FILE_LINES}")
    for match in BANNED.finditer(code):
        say(f"{name}:{code.count(chr(10), 0, match.start()) + 1}: uses {match[1]}")
    for first, last, signature in functions(code):
        if last - first + 1 > FUNCTION_LINES:
            say(f"{name}:{first}: a function of {last - first + 1} lines")
        if "(" in signature and parameters(signature) > PARAMETERS:
            say(f"{name}:{first}: {parameters(signature)} parameters")


def main():
    problems = []
    seen = set()
    for folder in FOLDERS:
        for path in sorted(ROOT.glob(folder + "/*.[ch]")):
            name = str(path.relative_to(ROOT))
            if name not in seen:
                seen.add(name)
                text = path.read_text(encoding="utf-8")
                check_text(name, text, problems.append)
                check_c(name, text, problems.append)
    for pattern in SCRIPTS:
        for path in sorted(ROOT.glob(pattern)):
            name = str(path.relative_to(ROOT))
            if path.is_file() and name not in seen and "node_modules" not in name:
                seen.add(name)
                check_text(name, path.read_text(encoding="utf-8"), problems.append)
    print("\n".join(problems) if problems else f"lint: {len(seen)} files in order")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
