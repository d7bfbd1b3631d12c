#!/usr/bin/env python3
"""Line coverage from gcov's data: tools/coverage.sh calls this.

    tools/coverage_report.py BUILD_FOLDER PERCENT [OBJECT_FOLDER_TO_LEAVE_OUT]...

Prints a line for each file under src, with the numbers of the lines that never ran, and the total.
A line that several objects hold (a template, an engine compiled twice) ran where any of them ran it.
Exit code 1 where the total is below PERCENT.
"""
import collections
import json
import os
import subprocess
import sys


def notes(folder, left_out):
    """The .gcno files under a folder: one for each object, whether it ran or not."""
    for path, folders, files in os.walk(folder):
        folders[:] = sorted(f for f in folders if f not in left_out)
        yield from (os.path.join(path, f) for f in sorted(files) if f.endswith(".gcno"))


def ranges(numbers):
    """[1, 2, 3, 7] -> '1-3,7'"""
    parts = []
    for n in numbers:
        if parts and parts[-1][1] == n - 1:
            parts[-1][1] = n
        else:
            parts.append([n, n])
    return ",".join(f"{a}" if a == b else f"{a}-{b}" for a, b in parts)


def main():
    folder, wanted = os.path.realpath(sys.argv[1]), float(sys.argv[2])
    source = os.path.realpath(os.path.join(os.path.dirname(__file__), "..", "src"))
    counts = collections.defaultdict(lambda: collections.defaultdict(int))  # file -> line -> runs
    for note in notes(folder, set(sys.argv[3:])):
        output = subprocess.run([os.environ.get("GCOV", "gcov"), "--json-format", "--stdout", note],
                                cwd=folder, capture_output=True, check=True, text=True).stdout
        for document in map(json.loads, output.splitlines()):
            for file in document["files"]:
                path = os.path.realpath(os.path.join(document["current_working_directory"], file["file"]))
                if path.startswith(source + os.sep):
                    for line in file["lines"]:
                        counts[os.path.relpath(path, source)][line["line_number"]] += line["count"]

    lines = ran = 0
    print(f"{'file':32} {'lines':>6} {'ran':>6} {'%':>6}  not run")
    for name, file in sorted(counts.items()):
        missing = sorted(n for n, count in file.items() if count == 0)
        lines += len(file)
        ran += len(file) - len(missing)
        print(f"{name:32} {len(file):6} {len(file) - len(missing):6}"
              f" {100 * (1 - len(missing) / len(file)):6.1f}  {ranges(missing)}")
    percent = 100 * ran / lines if lines else 0
    print(f"{'src':32} {lines:6} {ran:6} {percent:6.2f}  (at least {wanted:g} % wanted)")
    return percent < wanted


if __name__ == "__main__":
    sys.exit(main())
