"""Which files a sourceIdentifier leads to, and that no byte outside the data roots is ever read."""

from __future__ import annotations

import asyncio
import mmap
import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from server.core.errors import InvalidRequestError, RetryableError, SyncError
from server.sources.storage import files
from server.sources.storage.folders import FolderLimits
from tests.sources.csv.reading import StillClock, context_for, read_path, rows_of

SECRET = b"secret,word\nhidden,treasure\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A data root with one good file, and things beside it and in it that must not be read."""
    root = tmp_path / "data"
    (root / "inner").mkdir(parents=True)
    (root / "good.csv").write_bytes(b"a,b\n1,2\n")
    (root / "inner" / "deep.csv").write_bytes(b"a,b\n3,4\n")
    (root / "notes.txt").write_bytes(SECRET)
    (root / ".csv").write_bytes(SECRET)
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.csv").write_bytes(SECRET)
    (tmp_path / "data-secret.csv").write_bytes(SECRET)
    (tmp_path / "database").mkdir()
    (tmp_path / "database" / "secret.csv").write_bytes(SECRET)
    (root / "link.csv").symlink_to(outside / "secret.csv")
    (root / "relative-link.csv").symlink_to("../outside/secret.csv")
    (root / "chain.csv").symlink_to("link.csv")
    (root / "folder-link").symlink_to(outside)
    (root / "up").symlink_to("..")
    (root / "loop.csv").symlink_to("loop.csv")
    (root / "text.csv").symlink_to("notes.txt")
    (root / "self.csv").symlink_to("/proc/self/environ")
    (root / "null.csv").symlink_to("/dev/null")
    (root / "gone.csv").symlink_to("nothing.csv")
    (root / "table.csv").mkdir()
    os.mkfifo(root / "pipe.csv")
    server = socket.socket(socket.AF_UNIX)
    here = Path.cwd()
    os.chdir(root)
    server.bind("socket.csv")
    os.chdir(here)
    server.close()
    return root


# {outside} is a folder beside the root, {root} the root itself.
PAYLOADS = [
    "", " ", "\0", "good.csv\0.txt", "good\n.csv", "\x1b[2Jgood.csv", "x" * 300 + ".csv", "x" * 5000 + ".csv", "\udc00\ud800.csv",
    "../outside/secret.csv", "inner/../../outside/secret.csv", "{root}/../outside/secret.csv", "..", "../", "{root}/..",
    "./../outside/secret.csv", "inner/..//../outside/secret.csv", "..\\outside\\secret.csv", "%2e%2e/outside/secret.csv",
    "{outside}/secret.csv", "/{outside}/secret.csv", "//{outside}/secret.csv", "{root}-secret.csv", "{root}base/secret.csv",
    "link.csv", "{root}/link.csv", "relative-link.csv", "chain.csv", "folder-link/secret.csv", "folder-link", "up/outside/secret.csv",
    "loop.csv", "text.csv", "self.csv", "null.csv", "gone.csv", "table.csv", "pipe.csv", "socket.csv", "notes.txt", ".csv",
    "{root}/notes.txt", "good.csv/x.csv", "/proc/self/environ", "/proc/self/cwd/outside/secret.csv",
    "/proc/self/root{outside}/secret.csv", "/dev/stdin", "/dev/zero", "/dev/fd/0", "/etc/passwd", "/etc/passwd.csv", "~/secret.csv",
    "file://{outside}/secret.csv", "http://localhost/secret.csv", "|cat {outside}/secret.csv", "missing.csv", "*.xls",
    "../*.csv", "../outside/*.csv", "{outside}/*.csv", "{outside}/*", "folder-link/*.csv", "up/outside/*.csv", "l*k.csv",
    "*/secret.csv", "*/*/secret.csv", "?p/outside/secret.csv", "/proc/*/environ", "[.][.]/outside/secret.csv", "**/secret.csv",
]  # fmt: skip


@pytest.mark.parametrize("payload", PAYLOADS)
async def test_nothing_outside_the_roots_is_read(root: Path, payload: str) -> None:
    identifier = payload.format(root=root, outside=root.parent / "outside") if "{" in payload else payload
    with pytest.raises(InvalidRequestError) as caught:
        await asyncio.wait_for(read_path(identifier, context_for(root)), 10)
    assert caught.value.reason in {"SOURCE_FORBIDDEN", "SOURCE_NOT_FOUND", "SOURCE_UNSUPPORTED"}
    assert caught.value.field == "sourceIdentifier"
    assert "hidden" not in caught.value.message


@pytest.mark.parametrize(
    ("identifier", "reason"),
    [
        ("{outside}/secret.csv", "SOURCE_FORBIDDEN"),
        ("{outside}/not-there.csv", "SOURCE_FORBIDDEN"),
        ("link.csv", "SOURCE_FORBIDDEN"),
        ("up/outside/secret.csv", "SOURCE_FORBIDDEN"),
        ("up/outside/not-there.csv", "SOURCE_FORBIDDEN"),
        ("../outside/secret.csv", "SOURCE_FORBIDDEN"),
        ("missing.csv", "SOURCE_NOT_FOUND"),
        ("{root}/missing.csv", "SOURCE_NOT_FOUND"),
        ("table.csv", "SOURCE_NOT_FOUND"),
        ("none*.csv", "SOURCE_NOT_FOUND"),
        ("notes.txt", "SOURCE_UNSUPPORTED"),
        ("missing.txt", "SOURCE_UNSUPPORTED"),
        ("text.csv", "SOURCE_UNSUPPORTED"),
        ("pipe.csv", "SOURCE_UNSUPPORTED"),
    ],
)
async def test_a_refusal_says_why(root: Path, identifier: str, reason: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        await read_path(identifier.format(root=root, outside=root.parent / "outside"), context_for(root))
    assert caught.value.reason == reason


async def test_a_file_that_is_swapped_for_a_link_is_not_followed(root: Path) -> None:
    """The swap is done between the check and the opening, many times, from another thread."""
    target, spare, link = root / "swap.csv", root / "spare.csv", root.parent / "link.csv"
    spare.write_bytes(b"a,b\n1,2\n")
    link.symlink_to(root.parent / "outside" / "secret.csv")
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            for source in (link, spare):
                fresh = root / "fresh.tmp"
                os.link(source, fresh, follow_symlinks=False)
                fresh.replace(target)

    spare.replace(target)
    os.link(target, spare)
    thread = threading.Thread(target=swap)
    thread.start()
    outcomes: set[str] = set()
    try:
        for _ in range(150):
            try:
                reading = await read_path(str(target), context_for(root))
            except SyncError as error:
                outcomes.add(error.reason)
            else:
                assert reading.values == [("1", "2")]
                outcomes.add("read")
    finally:
        stop.set()
        thread.join()
    assert outcomes - {"SOURCE_NOT_FOUND", "SOURCE_CHANGED"} == {"read", "SOURCE_FORBIDDEN"}


def test_a_folder_on_the_way_that_becomes_a_link_is_not_followed(root: Path) -> None:
    paths = files.find_paths("inner/deep.csv", [root], FolderLimits(10, 100))
    (root / "inner").rename(root / "moved")
    (root / "inner").symlink_to(root.parent / "outside")
    (root.parent / "outside" / "deep.csv").write_bytes(SECRET)
    with pytest.raises(InvalidRequestError) as caught:
        files.open_file(paths[0], [root])
    assert caught.value.reason == "SOURCE_FORBIDDEN"


def test_a_file_that_becomes_a_pipe_does_not_block(root: Path) -> None:
    paths = files.find_paths("good.csv", [root], FolderLimits(10, 100))
    (root / "good.csv").unlink()
    os.mkfifo(root / "good.csv")
    with pytest.raises(InvalidRequestError) as caught:
        files.open_file(paths[0], [root])
    assert caught.value.reason == "SOURCE_UNSUPPORTED"


async def test_links_that_stay_inside_the_roots_are_followed(root: Path, tmp_path: Path) -> None:
    (root / "latest.csv").symlink_to("inner/deep.csv")
    (tmp_path / "alias").symlink_to(root)
    for identifier in ("latest.csv", str(tmp_path / "alias" / "good.csv")):
        assert len((await read_path(identifier, context_for(tmp_path / "alias"))).rows) == 1


async def test_a_relative_path_is_looked_for_in_each_root_in_order(root: Path, tmp_path: Path) -> None:
    second = tmp_path / "second"
    second.mkdir()
    (second / "good.csv").write_bytes(b"a,b\n5,6\n")
    (second / "only.csv").write_bytes(b"a,b\n7,8\n")
    assert (await read_path("good.csv", context_for(root, second))).values == [("1", "2")]
    assert (await read_path("only.csv", context_for(root, second))).values == [("7", "8")]


async def test_the_current_folder_counts_only_inside_a_root(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(root / "inner")
    assert (await read_path("deep.csv", context_for(root))).values == [("3", "4")]
    monkeypatch.chdir(tmp_path / "outside")
    with pytest.raises(InvalidRequestError) as caught:
        await read_path("secret.csv", context_for(root))
    assert caught.value.reason == "SOURCE_NOT_FOUND"


@pytest.mark.parametrize("name", ["a.CSV", "b.Csv", "with space.csv", "ñandú.csv", "x.y.csv", "-rf.csv", "[1].csv"])
async def test_names_of_csv_files(root: Path, name: str) -> None:
    (root / name).write_bytes(b"a\n1\n")
    assert (await read_path(name, context_for(root))).values == [("1",)]


@pytest.fixture
def folder(root: Path) -> Path:
    folder = root / "daily"
    folder.mkdir()
    (folder / "2.csv").write_bytes(b"b,a\n4,3\nx\n")
    (folder / "1.CSV").write_bytes(b"a,b\n1,2\n")
    (folder / "3.csv").write_bytes(b"a,b\n5,6\n")
    (folder / "4.csv.part").write_bytes(SECRET)
    (folder / ".hidden.csv").write_bytes(SECRET)
    (folder / "readme.md").write_bytes(SECRET)
    (folder / "old").mkdir()
    (folder / "old" / "0.csv").write_bytes(SECRET)
    return folder


@pytest.mark.parametrize("identifier", ["daily", "daily/", "daily/*", "d*/?.[cC][sS]*"])
async def test_a_folder_or_a_pattern_means_its_files_in_name_order(root: Path, folder: Path, identifier: str) -> None:
    reading = await read_path(identifier, context_for(root))
    assert reading.info.columns == ("a", "b")
    assert reading.values == [("1", "2"), ("3", "4"), ("5", "6")]
    assert [(row.line, row.record_no) for row in reading.rows] == [(2, 1), (2, 2), (2, 4)]
    assert [batch.batch_no for batch in reading.batches] == [1, 2, 3]
    assert reading.rejects[0].message.startswith("2.csv: ")
    listed = reading.info.detected["files"]
    assert [file["name"] for file in listed] == ["1.CSV", "2.csv", "3.csv"]
    assert len({file["fingerprint"] for file in listed}) == 3
    assert reading.info.bytes_total == sum((folder / file["name"]).stat().st_size for file in listed)
    assert reading.batches[-1].bytes_done == reading.info.bytes_total


async def test_every_batch_of_several_files_can_be_resumed_from(root: Path, folder: Path) -> None:
    whole = await read_path("daily", context_for(root))
    for index, batch in enumerate(whole.batches):
        rest = await read_path("daily", context_for(root), after=batch.position)
        assert rest.rows == tuple(row for later in whole.batches[index + 1 :] for row in rows_of(later))


async def test_files_with_other_columns_are_refused_together(root: Path, folder: Path) -> None:
    (folder / "3.csv").write_bytes(b"a,c\n5,6\n")
    with pytest.raises(InvalidRequestError, match=r"3\.csv has other columns than 1\.CSV") as caught:
        await read_path("daily", context_for(root))
    assert caught.value.reason == "SOURCE_MALFORMED"


@pytest.mark.parametrize(
    "header", ["título,Artista", "artista,TITULO", "\u200bTítulo, artista", "Ti\u0301tulo,artista\ufe0f"]
)
async def test_files_whose_names_only_look_different_are_one_source(tmp_path: Path, header: str) -> None:
    (tmp_path / "1.csv").write_text("Título,artista\na,b\n", encoding="utf-8")
    is_turned = header.startswith("a")
    (tmp_path / "2.csv").write_text(f"{header}\n{'d,c' if is_turned else 'c,d'}\n", encoding="utf-8")

    reading = await read_path("*.csv", context_for(tmp_path))

    assert reading.info.columns == ("Título", "artista")
    assert reading.values == [("a", "b"), ("c", "d")]


@pytest.mark.parametrize("header", ["a,A,b", "A,á,b", "a,b,c", "a,b"])
async def test_files_whose_names_are_not_the_same_one_for_one_are_refused(tmp_path: Path, header: str) -> None:
    (tmp_path / "1.csv").write_text("Á,ä,b\n1,2,3\n", encoding="utf-8")
    (tmp_path / "2.csv").write_text(f"{header}\n1,2,3\n", encoding="utf-8")

    with pytest.raises(InvalidRequestError, match=r"2\.csv has other columns than 1\.csv"):
        await read_path("*.csv", context_for(tmp_path))


async def test_too_many_files_are_refused(root: Path, folder: Path) -> None:
    with pytest.raises(InvalidRequestError, match="names 3 files; at most 2"):
        await read_path("daily", context_for(root, csv_files_max=2))


async def test_a_folder_with_a_link_that_leads_out_is_refused(root: Path, folder: Path) -> None:
    (folder / "5.csv").symlink_to(root.parent / "outside" / "secret.csv")
    with pytest.raises(InvalidRequestError) as caught:
        await read_path("daily", context_for(root))
    assert caught.value.reason == "SOURCE_FORBIDDEN"


class WritingClock(StillClock):
    """While somebody waits on this clock, a file grows."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    async def sleep(self, seconds: float) -> None:
        await super().sleep(seconds)
        with self._path.open("ab") as handle:
            handle.write(b"9,9\n")


async def test_a_file_that_is_still_being_written_is_not_read(root: Path, folder: Path) -> None:
    clock = WritingClock(root / "good.csv")
    with pytest.raises(RetryableError) as caught:
        await read_path("good.csv", context_for(root, clock=clock, csv_settle_seconds=0.5))
    assert caught.value.reason == "SOURCE_CHANGED"
    assert clock.waited == [0.5]


async def test_of_a_folder_only_the_files_that_are_still_written_are_left_out(root: Path, folder: Path) -> None:
    context = context_for(root, clock=WritingClock(folder / "2.csv"), csv_settle_seconds=0.5)
    reading = await read_path("daily", context)
    assert reading.values == [("1", "2"), ("5", "6")]
    assert reading.notices == ("2.csv is still being written and was left out",)


async def test_a_file_that_has_been_left_alone_is_read_without_waiting(root: Path) -> None:
    os.utime(root / "good.csv", (0, 0))
    clock = StillClock()
    assert len((await read_path("good.csv", context_for(root, clock=clock, csv_settle_seconds=0.5))).rows) == 1
    assert clock.waited == []


@pytest.mark.parametrize("pattern", ["*", "**", "***", "s*****", "./**.csv"])
def test_stars_in_a_row_mean_one(tmp_path: Path, pattern: str) -> None:
    (tmp_path / "songs.csv").write_bytes(b"a,b\n1,2\n")
    assert asyncio.run(read_path(pattern, context_for(tmp_path))).values == [("1", "2")]


def test_links_that_lead_nowhere_are_no_files_of_a_pattern(tmp_path: Path) -> None:
    (tmp_path / "songs.csv").write_bytes(b"a,b\n1,2\n")
    (tmp_path / "loop.csv").symlink_to(tmp_path / "loop.csv")
    (tmp_path / "gone.csv").symlink_to(tmp_path / "nothing.csv")
    assert asyncio.run(read_path("*.csv", context_for(tmp_path))).values == [("1", "2")]


def test_a_name_that_is_no_text_is_shown_escaped(tmp_path: Path) -> None:
    for name in (b"lat\xe9.csv", b"lat\x1b[31m.csv"):
        (tmp_path / os.fsdecode(name)).write_bytes(b"a,b\n1,2\n3\n")
    reading = asyncio.run(read_path("lat*.csv", context_for(tmp_path)))
    told = [found["name"] for found in reading.info.detected["formats"]] + [
        reject.message for reject in reading.rejects
    ]
    assert all(text.isprintable() and text.encode("utf-8") for text in told)
    assert reading.rejects[0].message.startswith("lat\\x1b[31m.csv: ")
    assert reading.rejects[1].message.startswith("lat\\xe9.csv: ")


def test_a_refusal_that_names_such_a_file_is_text(tmp_path: Path) -> None:
    for number in range(2):
        (tmp_path / os.fsdecode(b"lat\xe9%d.csv" % number)).write_bytes(b"a,b\n1,2\n" if number else b"a,c\n1,2\n")
    with pytest.raises(SyncError) as caught:
        asyncio.run(read_path("lat*.csv", context_for(tmp_path)))
    assert caught.value.message.encode("utf-8")


@pytest.mark.parametrize("pattern", ["*/x.csv", "*/nothing.csv", "?ut/x.csv", "ou*/*", "in*/out/*.csv", "*/*/x.csv"])
async def test_no_pattern_goes_through_a_link_to_a_folder_nor_tells_what_is_there(root: Path, pattern: str) -> None:
    (root.parent / "outside" / "x.csv").write_bytes(SECRET)
    (root / "out").symlink_to(root.parent / "outside")
    (root / "inner" / "out").symlink_to(root.parent / "outside")
    with pytest.raises(InvalidRequestError) as caught:
        await read_path(pattern, context_for(root))
    # The same whether it is there or not.
    assert (caught.value.reason, caught.value.message) == (
        "SOURCE_NOT_FOUND",
        f"{pattern!r} is not in the data folders",
    )


@pytest.mark.parametrize("levels", [2, 20, 33, 1000])
async def test_links_to_the_folder_itself_do_not_multiply_what_is_looked_at(tmp_path: Path, levels: int) -> None:
    (tmp_path / "songs.csv").write_bytes(b"a,b\n1,2\n")
    for name in ("one", "two", "three"):
        (tmp_path / name).symlink_to(".")
    with pytest.raises(InvalidRequestError) as caught:
        await read_path("*/" * levels + "songs.csv", context_for(tmp_path, csv_folder_entries_max=50))
    assert caught.value.reason == ("SOURCE_NOT_FOUND" if levels < 32 else "SOURCE_UNSUPPORTED")


async def test_a_file_that_is_a_link_out_of_the_roots_is_not_named_in_the_answer_to_a_pattern(root: Path) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        await read_path("l?nk.csv", context_for(root))
    assert caught.value.reason == "SOURCE_FORBIDDEN"
    assert "link.csv" not in caught.value.message


@pytest.mark.parametrize("identifier", ["", "/", "/*.csv", "/s*", "*/*.csv"])
async def test_the_entries_of_folders_that_are_looked_at_have_a_limit(tmp_path: Path, identifier: str) -> None:
    folder = tmp_path / "daily"
    folder.mkdir()
    for number in range(30):
        (folder / f"{number}.txt").touch()
    (folder / "songs.csv").write_bytes(b"a,b\n1,2\n")
    asked = identifier if identifier.startswith("*") else f"daily{identifier}"
    assert (await read_path(asked, context_for(tmp_path, csv_folder_entries_max=32))).values == [("1", "2")]
    with pytest.raises(InvalidRequestError, match="TECHAURA_SYNC_CSV_FOLDER_ENTRIES_MAX") as caught:
        await read_path(asked, context_for(tmp_path, csv_folder_entries_max=30))
    assert caught.value.reason == "SOURCE_UNSUPPORTED"


@pytest.mark.parametrize("identifier", ["daily", "daily/*.csv"])
async def test_names_are_counted_before_any_of_them_is_looked_at(tmp_path: Path, identifier: str) -> None:
    folder = tmp_path / "daily"
    folder.mkdir()
    for number in range(20):
        (folder / f"{number}.csv").symlink_to("nothing.csv")
    with pytest.raises(InvalidRequestError, match="names 20 files; at most 10"):
        await read_path(identifier, context_for(tmp_path, csv_files_max=10))


def _overwritten(path: Path) -> None:
    with path.open("r+b") as handle:
        handle.write(b"x,y")


def _back_in_time(change: Callable[[Path], object]) -> Callable[[Path], None]:
    """The change, with the time of the last write set back as it was."""

    def do(path: Path) -> None:
        found = path.stat()
        change(path)
        os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))

    return do


def _mapped(path: Path) -> None:
    with path.open("r+b") as handle, mmap.mmap(handle.fileno(), 0) as memory:
        memory[0:3] = b"x,y"


@pytest.mark.parametrize("change", [_overwritten, _back_in_time(_overwritten), _back_in_time(_mapped)])
def test_an_open_file_that_is_written_to_in_place_is_another_one_whatever_its_time_says(
    root: Path, change: Callable[[Path], object]
) -> None:
    opened = files.open_file(root / "good.csv", [root])
    try:
        opened.check_unchanged()
        change(root / "good.csv")
        with pytest.raises(RetryableError) as caught:
            opened.check_unchanged()
    finally:
        opened.close()
    assert caught.value.reason == "SOURCE_CHANGED"


@pytest.mark.parametrize(
    "change",
    [
        Path.unlink,
        lambda path: path.rename(path.with_name("done.csv")),
        lambda path: path.with_name("copy.csv").hardlink_to(path),
        lambda path: path.with_name("deep").mkdir() or path.rename(path.with_name("deep") / "moved.csv"),
        lambda path: (path.parent / "inner" / "deep.csv").replace(path),
    ],
)
def test_an_open_file_that_is_moved_linked_or_replaced_is_still_the_same(
    root: Path, change: Callable[[Path], object]
) -> None:
    opened = files.open_file(root / "good.csv", [root])
    try:
        change(root / "good.csv")
        opened.check_unchanged()
    finally:
        opened.close()
