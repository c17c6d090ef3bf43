"""A part of the Pollock corpus of polluted files, when it is at hand; `scripts/bench pollock` scores all of it."""

from __future__ import annotations

import csv
import json
import tarfile
from collections import Counter
from pathlib import Path

import pytest

from bench.pollock import options_of
from tests.sources.csv.reading import context_for, read_path

ARCHIVE = Path(__file__).resolve().parents[4] / "shared" / "pollock" / "pollock.tar.xz"
# Two tables in one file, of the same width: the second one's rows are as good as the first one's.
INDISTINGUISHABLE = {"file_multitable_same.csv"}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not ARCHIVE.exists():
        pytest.skip("the corpus is not at hand")
    folder = tmp_path_factory.mktemp("pollock")
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(folder, filter="data")
    return folder


async def test_no_row_is_silently_wrong_and_none_is_lost(corpus: Path) -> None:
    context = context_for(corpus)
    chosen = [
        path
        for number, path in enumerate(sorted((corpus / "csv").iterdir()))
        if number % 12 == 0 or path.name.startswith("file_")
    ]
    for path in chosen:
        parameters = json.loads((corpus / "parameters" / f"{path.name}_parameters.json").read_text())
        reading = await read_path(str(path), context, options_of(parameters))
        with (corpus / "clean" / path.name).open(encoding="utf-8-sig", newline="") as handle:
            truth = Counter(map(tuple, csv.reader(handle)))
        loaded = Counter(reading.values)
        if parameters["header_lines"]:
            truth -= Counter([tuple(reading.info.detected["header"])])
        if path.name not in INDISTINGUISHABLE:
            assert loaded - truth == Counter(), path.name
        assert sum((truth - loaded).values()) <= len(reading.rejects), path.name
