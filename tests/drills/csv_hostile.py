"""Files made to keep a reader busy: finding out what they are, and reading them, must be linear in their size.

usage: python -m tests.drills.csv_hostile [--bytes N] [--shape NAME]

Each shape is looked at and then read through at N/4, N/2 and N bytes. A doubling may cost 2.5 times as much at most (of what takes
long enough to be measured), and N bytes one second to find out what they are. A refusal with a reason is a right answer.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Final

from server.core.errors import SyncError
from server.sources.registry import source_type
from tests.sources.csv.reading import context_for, read_path

RATIO_MAX: Final = 2.5
LOOK_SECONDS_MAX: Final = 1.0
# Below this a ratio says more about the machine than about the reader.
_MEASURED_SECONDS_MIN: Final = 0.2

SHAPES: Final[Mapping[str, tuple[bytes, bytes, bytes]]] = {
    # How the file begins, what is repeated, and how it ends.
    "line feeds": (b"", b"\n", b""),
    "carriage returns": (b"", b"\r", b""),
    "both": (b"", b"\r\n\n\r", b""),
    "line feeds in UTF-16": (b"\xff\xfe", b"\n\0", b""),
    "blank records": (b"", b" ,\n", b""),
    "spaces": (b"", b" ", b""),
    "tabs": (b"", b"\t", b""),
    "empty columns": (b"title,artist", b",", b"\n1,2\n"),
    "columns of one name": (b"", b"a,", b"\n1,2\n"),
    "columns in quotes": (b"", b'"a",', b"\n"),
    "every delimiter": (b"", b";,|\t", b"\n"),
    "escapes": (b"", b"\\,", b"\n"),
    "columns beyond ASCII": (b"", "ñ,".encode(), b"\n"),
    "quotes": (b"", b'"', b""),
    "quotes in lines": (b"", b'"\n', b""),
    "stray quotes": (b"a,b\n", b'x"y,z\n', b""),
    "a quote that never closes": (b'a,b\n"', b"x\n", b""),
    "quotes behind quotes": (b"", b'"a"b,', b"\n"),
    "backslashes in quotes": (b'a,b\n"', b'\\"', b""),
    "zeros": (b"a,b\n", b"\0", b""),
    "control characters": (b"", bytes(range(1, 9)), b""),
    "tags": (b"", b"<a>", b""),
    "tags that do not end": (b"", b"<a '", b""),
    "comments of a page": (b"", b"<!--", b""),
    "character data": (b"", b"<![CDATA[", b""),
    "arrays": (b"", b"[", b""),
    "objects": (b"", b'{"a":', b""),
    "rulers": (b"", b"+---", b"\n"),
    "pipes": (b"", b"|---", b"\n"),
    "one long value": (b"a,b\n", b"x", b",1\n"),
    "short records": (b"a\n", b"1\n", b""),
    "wide records": (b"a,b\n", b"1,", b"\n"),
    "records that are too short": (b"a,b,c\n", b"1,2\n", b""),
}


def content(shape: str, size_bytes: int) -> bytes:
    """A file of a shape, of about so many bytes."""
    head, unit, tail = SHAPES[shape]
    return head + unit * (size_bytes // len(unit)) + tail


def measured(work: Callable[[], object]) -> tuple[float, str]:
    """How long something takes, and how it was refused; empty when it was not."""
    began = time.perf_counter()
    outcome = ""
    try:
        work()
    except SyncError as error:
        outcome = str(error.reason)
    return time.perf_counter() - began, outcome


def look(folder: Path) -> tuple[float, str]:
    """Find out what the file is, as a trigger does."""
    source = source_type("csv").load("x.csv", {}, True)
    return measured(lambda: asyncio.run(source.check(context_for(folder))))


def read(folder: Path) -> tuple[float, str]:
    """Read it through."""
    return measured(lambda: asyncio.run(read_path("x.csv", context_for(folder))))


def check(shape: str, size_bytes: int, folder: Path) -> tuple[list[str], str]:
    """What is wrong with a shape, and a line of figures."""
    faults: list[str] = []
    words: list[str] = []
    for name, work in (("look", look), ("read", read)):
        seconds: list[float] = []
        outcome = ""
        for size in (size_bytes // 4, size_bytes // 2, size_bytes):
            (folder / "x.csv").write_bytes(content(shape, size))
            took, outcome = work(folder)
            seconds.append(took)
        ratios = [b / a for a, b in pairwise(seconds) if a > _MEASURED_SECONDS_MIN]
        if ratios and max(ratios) > RATIO_MAX:
            faults.append(f"{shape}: {name} grows by {max(ratios):.1f} with each doubling")
        if name == "look" and seconds[-1] > LOOK_SECONDS_MAX:
            faults.append(f"{shape}: {name} takes {seconds[-1]:.2f} s")
        words.append(f"{name} {' '.join(f'{each:.2f}' for each in seconds)} s {outcome}".strip())
    return faults, f"{shape}: {'; '.join(words)}"


def main() -> int:
    """Run the drill; 1 when a shape is not linear."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--bytes", type=int, default=5_000_000, help="size of the largest file of each shape")
    parser.add_argument("--shape", choices=list(SHAPES), action="append", help="only these")
    given = parser.parse_args()
    faults: list[str] = []
    shapes = given.shape or list(SHAPES)
    for shape in shapes:
        with tempfile.TemporaryDirectory() as folder:
            found, line = check(shape, given.bytes, Path(folder))
        print(line, flush=True)
        faults += found
    for fault in faults:
        print(fault)
    print(f"csv_hostile: {len(shapes)} shapes of {given.bytes} bytes, {len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
