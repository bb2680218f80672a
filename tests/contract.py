#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""One table of what every store and every destination was tested to do: ./dev contract

    contract.py BUILD     reads BUILD/Testing/Temporary/LastTest.log, asks BUILD/tgdata for its drivers

The rows are the cases that all share, read from where they stand: tests/unit/store_contract.h and
sink_contract.h, and the classes Contract and Streams of tests/cli. The columns are the test programs
and classes that take them over. It fails if a case is missing, skipped or failed somewhere, and if
the program has a driver that no column is of: then a server, a library or a test was not there.
"""
import ast
import pathlib
import re
import subprocess
import sys

TESTS = pathlib.Path(__file__).resolve().parent
# Drivers that are another's code, and classes named after what they talk to.
SAME_AS = {"rediss": "redis", "amqp": "rabbit", "amqps": "rabbit", "http": "webhook",
           "https": "webhook"}
OK, SKIPPED, FAILED, MISSING = "ok", "skipped", "FAILED", "missing"
# Why a case is not one of a class, and no test was left out.
NOT_ITS = ("it keeps nothing when it is killed",)


def blocks(log):
    """{test: its output} of a log of CTest."""
    found = re.split(r"^\d+/\d+ Testing: (\S+)$", log, flags=re.M)
    return dict(zip(found[1::2], found[2::2]))


def of_cmocka(output):
    words = {"OK": OK, "SKIPPED": SKIPPED, "FAILED": FAILED}
    return {name: words[word] for word, name in
            re.findall(r"^\[ +(OK|SKIPPED|FAILED) +\] (\w+)$", output, flags=re.M)}


def of_unittest(output):
    """{class: {case: how it went}}"""
    found = {}
    for case, name, word in re.findall(
            r"^(test_\w+) \(__main__\.(\w+)[^)]*\)(?:\n[^\n]*)?? \.\.\. (?:[^\n]*\n  .*?)?"
            r"(ok|skipped '[^'\n]*'|FAIL|ERROR)", output, flags=re.M):
        why = word.removeprefix("skipped ").strip("'")
        went = OK if word == "ok" else SKIPPED if word.startswith("skipped") else FAILED
        found.setdefault(name, {})[case] = None if why in NOT_ITS else went
    return found


def cases_in_c(header, macro):
    text = (TESTS / "unit" / header).read_text(encoding="utf-8")
    body = re.search(rf"#define {macro}\b((?:.*\\\n)*.*)", text)[1]
    return re.findall(r"cmocka_unit_test\((\w+)\)", body)


def programs_in_c(prefix, macro):
    return [p.stem for p in sorted((TESTS / "unit").glob(f"{prefix}_*.c"))
            if re.search(rf"^\s+{macro}\b", p.read_text(encoding="utf-8"), flags=re.M)]


def classes_in_python(script, base):
    """The cases of a class, and {class that takes them over: those it leaves out}."""
    tree = ast.parse((TESTS / "cli" / f"test_{script}.py").read_text(encoding="utf-8"))
    classes = {c.name: c for c in tree.body if isinstance(c, ast.ClassDef)}

    def bases(c):
        names = {b.id for b in c.bases if isinstance(b, ast.Name)}
        return names.union(*(bases(classes[n]) for n in names if n in classes))

    def left_out(c):
        return {t.id for n in c.body if isinstance(n, ast.Assign)
                and isinstance(n.value, ast.Constant) and n.value.value is None
                for t in n.targets if isinstance(t, ast.Name)}

    cases = [f.name for f in classes[base].body
             if isinstance(f, ast.FunctionDef) and f.name.startswith("test_")]
    return cases, {n: left_out(c) for n, c in classes.items()
                   if base in bases(c) and "Case" in bases(c)}


def table(title, cases, columns):
    """@param columns  {name: {case: how it went, or None: not its}}. @return what is wrong"""
    wrong = []
    width = max(map(len, cases))
    print(f"\n{title}\n{'':{width}}  " + "  ".join(columns))
    for case in cases:
        cells = []
        for name, went in columns.items():
            cell = went.get(case, MISSING)
            cells.append(f"{'-' if cell is None else cell:{len(name)}}")
            if cell not in (OK, None):
                wrong.append(f"{name}: {case}: {cell}")
        print(f"{case.removeprefix('test_').replace('_', ' '):{width}}  " + "  ".join(cells))
    return wrong


def in_c(tests, title, prefix, header, macro):
    programs = programs_in_c(prefix, macro)
    columns = {p.removeprefix(f"{prefix}_"): of_cmocka(tests.get(f"unit/{p}", ""))
               for p in programs}
    return set(columns), table(title, cases_in_c(header, macro), columns)


def in_python(tests, title, script, base):
    cases, classes = classes_in_python(script, base)
    went = of_unittest("".join(t for name, t in tests.items() if name.startswith(f"cli/{script}_")))
    columns = {name.removeprefix("To").lower(): went.get(name, {}) | dict.fromkeys(out)
               for name, out in classes.items()}
    return set(columns), table(title, cases, columns)


def main():
    build = pathlib.Path(sys.argv[1])
    log = build / "Testing" / "Temporary" / "LastTest.log"
    tests = blocks(log.read_text(encoding="utf-8", errors="replace"))
    stores, wrong = in_c(tests, "state stores (unit/store_*)", "store", "store_contract.h",
                         "STORE_CONTRACT_TESTS")
    sinks = set()
    for part in (
            in_c(tests, "destinations with a cursor (unit/sink_*)", "sink", "sink_contract.h",
                 "SINK_CONTRACT_TESTS"),
            in_c(tests, "those that check rows (unit/sink_*)", "sink", "sink_refusals.h",
                 "SINK_CONTRACT_REFUSALS"),
            in_python(tests, "destinations with a cursor, killed (cli/destinations_*)",
                      "destinations", "Contract"),
            in_python(tests, "those of a server that dies (cli/destinations_*)", "destinations",
                      "OfAServer"),
            in_c(tests, "streams (unit/sink_*)", "sink", "stream_contract.h",
                 "STREAM_CONTRACT_TESTS"),
            in_c(tests, "those that refuse rows (unit/sink_*)", "sink", "stream_refusals.h",
                 "STREAM_CONTRACT_REFUSALS"),
            in_python(tests, "streams, killed (cli/streams_*)", "streams", "Streams")):
        sinks |= part[0]
        wrong += part[1]
    version = subprocess.run([build / "tgdata", "version"], check=True, capture_output=True,
                             text=True).stdout
    for kind, name in re.findall(r"^  (sink|store) (\S+)$", version, flags=re.M):
        if SAME_AS.get(name, name) not in (sinks if kind == "sink" else stores):
            wrong.append(f"{kind} {name}: no column is of it")
    print()
    for line in wrong:
        print("contract:", line)
    print(f"contract: {len(wrong)} cells are not ok" if wrong else "contract: all cells are ok")
    raise SystemExit(1 if wrong else 0)


if __name__ == "__main__":
    main()
