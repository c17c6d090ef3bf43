"""Input drill 3: mutated CSV files through the real reader: no crash, nothing slow, and an exact ledger.

usage: python -m tests.drills.csv_fuzz [--seed N] [--count N]

Each file is made from its own number (`--seed 17 --count 1` makes number 17 again): a table in some dialect and encoding,
then damaged. The oracle is independent of the reader: records, good and bad, must cover the file but for line breaks,
comments, and what says nothing (records of delimiters and blanks, marks of files that were put together, padding behind the
last line), each of which a notice tells, in order and without an overlap; each good one's values must be what the standard library reads at its offset;
a second reading in small blocks must give the same. A refusal with a reason is a right answer.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import csv
import io
import random
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from server.core.errors import SyncError
from server.sources.contract import REJECT_RAW_CHARS_MAX
from tests.sources.csv.reading import Reading, context_for, read_path, rows_of

SECONDS_MAX: Final = 2.0
_ENCODINGS: Final = ("utf-8", "utf-8", "utf-8", "utf-8-sig", "cp1252", "latin-1", "utf-16", "utf-16-le", "utf-32")
_WORDS: Final = (
    "a",
    "1",
    "007",
    "Canción",
    "x y",
    "",
    "two\nlines",
    'say "hi"',
    "a,b",
    "a;b",
    "\t",
    "🎵",
    "\\",
    "#",
    "-1.5",
    "\x00",
)
_TOKENS: Final = (
    b'"', b'""', b'"""', b",", b";", b"\n", b"\r", b"\r\n", b"\\", b'\\"', b"#", b"\x00", b"\xff", b"\xef\xbb\xbf", b"\xff\xfe",
    b"\n,,\n", b"\n;;\r\n", b" , ", b"\n \t\n", b"\n\xef\xbb\xbf", b"\r", b', "', b'" ,', b'="', b"\\n", b"\n\x1a",
    b'",', b',"', b'"\n', b'\n"', b"'", b"||", b"\xc3", b"\xe2\x80\xa8", b"\x1a", b"\t", b" ",
)  # fmt: skip


@dataclass(frozen=True)
class Made:
    """A file, and the options that it is read with."""

    content: bytes
    options: dict[str, Any]


@dataclass
class Tally:
    """What became of the files."""

    outcomes: Counter[str] = field(default_factory=Counter)
    slowest_seconds: float = 0.0
    failures: list[str] = field(default_factory=list)


def make(number: int) -> Made:
    """The file of that number."""
    pick = random.Random(number)
    delimiter = pick.choice([",", ",", ",", ";", "\t", "|", "||", "§"])
    options: dict[str, Any] = {"delimiter": delimiter}
    quote = pick.choice(['"', '"', '"', "'", ""])
    encoding = pick.choice(_ENCODINGS)
    options["quote"] = quote
    options["encoding"] = (
        pick.choice([encoding, encoding, "auto"]) if encoding != "utf-8" else pick.choice(["utf-8", "auto"])
    )
    if pick.random() < 0.2:
        options["escape"] = pick.choice(["\\", ""])
    if pick.random() < 0.2:
        options["strayQuotes"] = "keep"
    if pick.random() < 0.2:
        options["commentPrefix"] = pick.choice(["#", "//"])
    if pick.random() < 0.1:
        options["hasHeader"] = False
    if pick.random() < 0.1:
        options["preambleLines"] = pick.randint(1, 3)
    if pick.random() < 0.1:
        options["delimiter"] = "auto"
    if pick.random() < 0.05:
        options["headerLines"] = 2
    if pick.random() < 0.1:
        options["missingFields"] = "empty"
    content = _table(pick, delimiter, quote).encode(encoding, "ignore")
    if pick.random() < 0.1:
        content += content[: pick.randint(0, len(content))]
    for _ in range(pick.choice([0, 1, 1, 2, 3, 5, 20])):
        content = _mutated(pick, content)
    if pick.random() < 0.1:
        content += pick.choice([b"\x1a", b"\0", b"\x1a\0\0", b"\0" * 5000, b",,\n" * 9, b"\n" + b" ;;\n" * 3])
    return Made(content, options)


def _table(pick: random.Random, delimiter: str, quote: str) -> str:
    width = pick.choice([1, 2, 3, 5, 9])
    line_break = pick.choice(["\n", "\n", "\r\n", "\r"])
    always = pick.random() < 0.5

    def shown(value: str) -> str:
        needs = any(token in value for token in (delimiter, quote or "\0\0", "\n", "\r"))
        if not quote or not (always or needs):
            return value.replace("\n", " ") if not quote else value
        return quote + value.replace(quote, quote + quote) + quote

    lines = [f"sep={delimiter}"] if pick.random() < 0.05 else []
    lines.append(delimiter.join(f"c{number}" for number in range(width)))
    count = pick.choice([0, 1, 5, 30, 200])
    lines += [delimiter.join(shown(pick.choice(_WORDS)) for _ in range(width)) for _ in range(count)]
    if pick.random() < 0.05:
        lines[1:] = [line + delimiter for line in lines[1:]]
    return line_break.join(lines) + pick.choice(["", line_break])


def _mutated(pick: random.Random, content: bytes) -> bytes:
    at = pick.randint(0, len(content))
    other = min(len(content), at + pick.choice([1, 2, 7, 100]))
    match pick.randrange(7):
        case 0:
            return content[:at] + pick.choice(_TOKENS) + content[at:]
        case 1:
            return content[:at] + content[other:]
        case 2:
            return content[:at] + content[at:other] * pick.choice([2, 3, 50]) + content[other:]
        case 3:
            return content[:at]
        case 4:
            return content[:at] + bytes([pick.randrange(256)]) + content[at + 1 :]
        case 5:
            return content[:at] + pick.choice(_TOKENS) * pick.choice([2, 10, 3000]) + content[at:]
        case _:
            moved = pick.randint(0, len(content))
            return content[:moved] + content[at:other] + content[moved:]


def faults_of(made: Made, reading: Reading) -> Iterator[str]:
    """What is wrong with a reading, as far as the file itself can tell."""
    raws = [
        (row.byte_offset, row.record_no, batch.raw_text(index), row.values)
        for batch in reading.batches
        for index, row in enumerate(rows_of(batch))
    ]
    bad = [r for r in reading.rejects if r.kind != "header_mismatch"]
    places = sorted(
        [(offset, raw, number) for offset, number, raw, _ in raws] + [(r.byte_offset or 0, r.raw, 0) for r in bad]
    )
    if len({offset for offset, _, _ in places}) != len(places):
        yield "two records begin at one offset"
    for position, (_, _, number) in enumerate(places, 1):
        if number not in (0, position):
            yield f"record {position} of the file has number {number}"
            break
    yield from _uncovered(made, [(offset, raw) for offset, raw, _ in places], reading)
    options = made.options
    if (
        options.get("escape") is None
        and options.get("strayQuotes") is None
        and len(reading.info.detected["delimiter"]) == 1
    ):
        for _, number, raw, values in raws:
            read = tuple(_by_the_standard_library(raw, reading.info.detected["delimiter"], options["quote"]))
            if options.get("missingFields") == "empty":
                read += ("",) * (len(values) - len(read))
            if read != values:
                yield f"record {number} has other values than the standard library reads"
                break


def _by_the_standard_library(raw: str, delimiter: str, quote: str) -> list[str]:
    if len(raw) >= REJECT_RAW_CHARS_MAX:
        return []
    how: dict[str, Any] = {"quotechar": quote} if quote else {"quoting": csv.QUOTE_NONE}
    return next(csv.reader(io.StringIO(raw, newline=""), delimiter=delimiter, strict=True, **how))


def _uncovered(made: Made, places: list[tuple[int, str]], reading: Reading) -> Iterator[str]:
    """Bytes behind the first record that belong to none, and are nothing that may be left out, or are not told."""
    encoding, delimiter = reading.info.detected.get("encoding", "utf-8"), reading.info.detected["delimiter"]
    comment = str(made.options.get("commentPrefix", "\0\0"))
    blanks = set(delimiter + made.options["quote"] + " \t\v\f\u00a0\u2007\u202f\u3000")
    ends = ([offset for offset, _ in places[1:]] + [len(made.content)])[: len(places)]
    met: set[str] = set()
    for (offset, raw), end in zip(places, ends, strict=True):
        if len(raw) >= REJECT_RAW_CHARS_MAX:
            continue
        try:
            whole = made.content[offset:end].decode(encoding, "backslashreplace")
        except (UnicodeError, LookupError):
            continue
        if encoding.startswith(("utf-16", "utf-32")) and (
            "\\x" in whole or "\\u" in whole or "\\x" in raw or "\\u" in raw
        ):
            # Half a unit is shown in its own way.
            continue
        if not whole.startswith(raw):
            yield f"the raw text of the record at byte {offset} is not what stands there"
            return
        first, *others = whole[len(raw) :].replace("\r", "\n").split("\n")
        if first and end == len(made.content) and not others and not first.strip("\x1a\0"):
            met.add("Ctrl-Z")
        elif first:
            yield f"bytes behind the record at byte {offset} belong to no record"
            return
        for index, line in enumerate(others):
            text = line.lstrip("\ufeff")
            if text != line:
                met.add("byte order mark")
            if end == len(made.content) and index == len(others) - 1 and text.endswith(("\x1a", "\0")):
                met.add("Ctrl-Z")
                text = text.rstrip("\x1a\0")
            if text.startswith(comment):
                met.add("comment")
            elif text and blanks.issuperset(text):
                met.add("nothing but delimiters")
            elif text:
                yield f"bytes behind the record at byte {offset} belong to no record"
                return
    for words in met - {"byte order mark"}:
        if not any(words in notice for notice in reading.notices):
            yield f"what was left out is not told: {words}"


async def check(folder: Path, number: int) -> tuple[str, float, list[str]]:
    """Read the file of that number; return its outcome, the processor time that it took in seconds, and what is wrong."""
    made = make(number)
    (folder / "fuzz.csv").write_bytes(made.content)
    # Processor time: others may be at work on the machine.
    started = time.process_time()
    try:
        reading = await read_path("fuzz.csv", context_for(folder), made.options)
    except SyncError as error:
        wrong = ["refused as INTERNAL"] if error.reason == "INTERNAL" else []
        return f"refused {error.reason}", time.process_time() - started, wrong
    except Exception:  # noqa: BLE001 - a crash is what this looks for; it is reported with its number
        return "crash", time.process_time() - started, [traceback.format_exc()]
    seconds = time.process_time() - started
    wrong = list(faults_of(made, reading))
    if number % 5 == 0:
        small = await read_path("fuzz.csv", context_for(folder, csv_block_bytes=1 + number % 97), made.options)
        if (small.rows, small.rejects, small.notices) != (reading.rows, reading.rejects, reading.notices):
            wrong.append("small blocks give another reading")
    return "read with rejects" if reading.rejects else "read clean", seconds, wrong


async def run(seed: int, count: int, tally: Tally) -> None:
    """Check `count` files from number `seed` on."""
    with tempfile.TemporaryDirectory() as name:
        for number in range(seed, seed + count):
            outcome, seconds, wrong = await check(Path(name), number)
            tally.outcomes[outcome] += 1
            tally.slowest_seconds = max(tally.slowest_seconds, seconds)
            if seconds > SECONDS_MAX:
                wrong.append(f"took {seconds:.1f} s")
            tally.failures += [f"seed {number}: {what}" for what in wrong]


def main() -> int:
    """Fuzz, print one line, and one for each failure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=100_000)
    given = parser.parse_args()
    started = time.perf_counter()
    tally = Tally()
    # What is known when somebody loses patience is printed too.
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(run(given.seed, given.count, tally))
    outcomes = ", ".join(f"{name} {count}" for name, count in sorted(tally.outcomes.items()))
    print(
        f"csv_fuzz seed {given.seed} count {tally.outcomes.total()}: {len(tally.failures)} failures, slowest "
        f"{tally.slowest_seconds:.3f} s, {time.perf_counter() - started:.0f} s in all; {outcomes}"
    )
    for failure in tally.failures[:20]:
        print(failure)
    return 1 if tally.failures else 0


if __name__ == "__main__":
    sys.exit(main())
