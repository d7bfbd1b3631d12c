#!/usr/bin/env python3
"""What `trainer help` says of the layers: their arguments, types, ranges and defaults.

    python3 tools/schemas.py [LAYER]...     prints what is read

As a module: layers(program) -> {name: {argument: Key}}. The tools that draw or time layers read
them here, so that a new layer or argument needs no line of theirs.
"""
import dataclasses
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
TRAINER = os.environ.get("TRAINER") or str(ROOT / "build" / "trainer")

KINDS = {"integer": "int", "number": "float", "true or false": "bool", "one of": "choice",
         "text": "text", "file or folder": "path", "numbers with commas": "floats",
         "size, 3 or 3x1": "size", "numbers, 2 or 2x1.5": "numbers",
         "integers, 1 or 1x1x2x2 (left, right, top, bottom)": "sides", "anything": "any"}


@dataclasses.dataclass
class Key:
    name: str
    kind: str              # of KINDS, "class", or "other"
    low: float = None      # inclusive; None: any number
    high: float = None
    words: tuple = ()      # that it may be, too, or for a choice: one of
    default: str = None    # as one would write it; None: it must be given
    required: bool = False


def read_key(name, rule):
    """`rule` is as in "integer, 1 to 1024, or auto; default auto"."""
    found = [kind for kind in KINDS if rule.startswith(kind)]
    kind = max(found, key=len) if found else None
    is_class = "NAME or NAME(key=value, ...)" in rule
    key = Key(name, "class" if is_class else KINDS.get(kind, "other"))
    left, _, right = rule.partition(";")
    key.required = right.strip() == "must be given"
    if right.strip().startswith("default "):
        key.default = right.strip()[len("default "):]
    rest = left[len(kind):] if kind else left
    between = re.search(r"(-?[\d.e+-]+) to (-?[\d.e+-]+)", rest)
    if between:
        key.low, key.high = float(between[1]), float(between[2])
    words = rest if key.kind == "choice" else rest.rpartition(", or ")[2] if ", or " in rest else ""
    key.words = tuple(words.split())
    return key


def layers(program=TRAINER):
    done = subprocess.run([program, "help", "network"], capture_output=True, text=True,
                          check=False)
    parts = re.split(r"^(\w+) \(layer, section \[network\]\)$", done.stdout, flags=re.M)
    if done.returncode or len(parts) < 3:
        sys.exit(f"schemas: {program} help network lists no layers: {done.stderr.strip()}")
    found = {}
    for layer, page in zip(parts[1::2], parts[2::2]):
        lines = re.findall(r"^  (\w+) +(\S.*)$", page.partition("\n\n")[2], re.M)
        found[layer] = {name: read_key(name, rule) for name, rule in lines}
    return found


def main():
    for layer, keys in layers().items():
        if layer in sys.argv[1:] or len(sys.argv) == 1:
            print(layer)
            for key in keys.values():
                print("   ", key)


if __name__ == "__main__":
    main()
