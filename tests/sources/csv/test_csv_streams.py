"""Compressed files: read like plain ones, never cut short in silence, never inflated without a limit."""

from __future__ import annotations

import gzip
import io
import random
import resource
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from server.core.errors import InvalidRequestError, SyncError
from tests.sources.csv.reading import context_for, read_bytes, read_path

CONTENT = b"a,b\n" + b"".join(b"%d,value %d\n" % (number, number * 7919) for number in range(20_000))


def zipped(content: bytes, *, names: tuple[str, ...] = ("songs.csv",), method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name in names:
            archive.writestr(name, content)
    return buffer.getvalue()


def zstd(content: bytes) -> bytes:
    return zstandard.ZstdCompressor(write_checksum=True).compress(content)


COMPRESSORS: list[tuple[str, Callable[[bytes], bytes]]] = [
    ("songs.csv.gz", gzip.compress),
    ("songs.csv.zst", zstd),
    ("songs.zip", zipped),
]


@pytest.mark.parametrize(("name", "compress"), COMPRESSORS)
def test_a_compressed_file_is_read_like_a_plain_one(
    tmp_path: Path, name: str, compress: Callable[[bytes], bytes]
) -> None:
    plain = read_bytes(tmp_path, CONTENT, csv_block_bytes=50_000)
    packed = read_bytes(tmp_path, compress(CONTENT), name=name, csv_block_bytes=50_000)
    assert packed.rows == plain.rows
    assert packed.info.detected["compression"] == {"gz": "gzip", "st": "zstd", "ip": "zip"}[name[-2:]]
    assert packed.info.fingerprint != plain.info.fingerprint


@pytest.mark.parametrize(("name", "compress"), COMPRESSORS)
async def test_a_compressed_file_can_be_resumed(tmp_path: Path, name: str, compress: Callable[[bytes], bytes]) -> None:
    (tmp_path / name).write_bytes(compress(CONTENT))
    context = context_for(tmp_path, csv_block_bytes=50_000)
    whole = await read_path(name, context)
    middle = whole.batches[len(whole.batches) // 2]
    rest = await read_path(name, context, after=middle.position)
    assert rest.rows == tuple(row for row in whole.rows if row.byte_offset >= middle.position["offset"])
    assert 0 < len(rest.rows) < len(whole.rows)


def test_several_gzip_members_and_zstd_frames_are_one_file(tmp_path: Path) -> None:
    first, second = CONTENT[:1000], CONTENT[1000:]
    skippable = b"\x50\x2a\x4d\x18\x03\x00\x00\x00xyz"
    for name, packed in (
        ("a.csv.gz", gzip.compress(first) + gzip.compress(second) + b"\0" * 20),
        ("a.csv.zst", zstd(first) + skippable + zstd(second)),
    ):
        assert len(read_bytes(tmp_path, packed, name=name).rows) == 20_000


def test_a_zip_may_be_stored(tmp_path: Path) -> None:
    packed = zipped(CONTENT, method=zipfile.ZIP_STORED)
    assert len(read_bytes(tmp_path, packed, name="a.zip").rows) == 20_000


@pytest.mark.parametrize(("name", "compress"), COMPRESSORS)
@pytest.mark.parametrize("kept", [0.02, 0.5, 0.99])
def test_a_compressed_file_that_is_cut_off_is_never_complete(
    tmp_path: Path, name: str, compress: Callable[[bytes], bytes], kept: float
) -> None:
    packed = compress(CONTENT)
    with pytest.raises(SyncError) as caught:
        read_bytes(tmp_path, packed[: int(len(packed) * kept)], name=name, csv_block_bytes=20_000)
    assert caught.value.reason == "SOURCE_MALFORMED"
    assert not caught.value.retryable


@pytest.mark.parametrize(("name", "compress"), COMPRESSORS)
def test_a_damaged_compressed_file_is_never_complete(
    tmp_path: Path, name: str, compress: Callable[[bytes], bytes]
) -> None:
    packed = bytearray(compress(CONTENT))
    packed[len(packed) // 2] ^= 0xFF
    with pytest.raises(SyncError) as caught:
        read_bytes(tmp_path, bytes(packed), name=name, csv_block_bytes=20_000)
    assert caught.value.reason == "SOURCE_MALFORMED"


@pytest.mark.parametrize("name", [name for name, _ in COMPRESSORS])
def test_what_is_not_compressed_is_refused_under_such_a_name(tmp_path: Path, name: str) -> None:
    for content in (CONTENT, b"", b"\x1f\x8b", b"PK\x03\x04"):
        with pytest.raises(InvalidRequestError) as caught:
            read_bytes(tmp_path, content, name=name)
        assert caught.value.reason == "SOURCE_MALFORMED"


def test_a_zip_must_hold_exactly_one_file(tmp_path: Path) -> None:
    for names in ((), ("a.csv", "b.csv")):
        with pytest.raises(InvalidRequestError, match=f"holds {len(names)} files"):
            read_bytes(tmp_path, zipped(CONTENT, names=names), name="a.zip")


def test_an_encrypted_zip_is_refused(tmp_path: Path) -> None:
    packed = bytearray(zipped(CONTENT))
    packed[6] |= 1
    packed[packed.rindex(b"PK\x01\x02") + 8] |= 1
    with pytest.raises(InvalidRequestError, match="encrypted"):
        read_bytes(tmp_path, bytes(packed), name="a.zip")


def deep_gzip(content_bytes: int) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    piece = b"0" * 65_536
    packed = packer.compress(b"a\n") + b"".join(packer.compress(piece) for _ in range(content_bytes // len(piece)))
    return packed + packer.flush()


def deep_zstd(content_bytes: int) -> bytes:
    packer = zstandard.ZstdCompressor().compressobj()
    piece = b"0" * 65_536
    packed = packer.compress(b"a\n") + b"".join(packer.compress(piece) for _ in range(content_bytes // len(piece)))
    return packed + packer.flush()


@pytest.mark.parametrize(("name", "bomb"), [("a.csv.gz", deep_gzip), ("a.csv.zst", deep_zstd)])
def test_a_bomb_is_refused_before_it_is_in_memory(tmp_path: Path, name: str, bomb: Callable[[int], bytes]) -> None:
    packed = bomb(512 * 1024 * 1024)
    assert len(packed) < 1024 * 1024
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(SyncError, match="times its size") as caught:
        read_bytes(tmp_path, packed, name=name)
    assert caught.value.reason == "SOURCE_MALFORMED"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024


def test_a_zip_bomb_is_refused(tmp_path: Path) -> None:
    packed = zipped(b"a\n" + b"0" * (64 * 1024 * 1024))
    with pytest.raises(SyncError, match="times its size"):
        read_bytes(tmp_path, packed, name="a.zip")


@pytest.mark.parametrize(("name", "compress"), COMPRESSORS)
def test_content_over_the_cap_is_refused(tmp_path: Path, name: str, compress: Callable[[bytes], bytes]) -> None:
    with pytest.raises(SyncError, match="more than 100000 bytes"):
        read_bytes(tmp_path, compress(CONTENT), name=name, csv_decompressed_bytes_max=100_000)


def test_content_just_under_the_ratio_is_read(tmp_path: Path) -> None:
    content = b"a,b\n" + b"0123456789,abcdefghij\n" * 300_000
    packed = gzip.compress(content)
    ratio = len(content) / len(packed)
    assert len(read_bytes(tmp_path, packed, name="a.csv.gz", csv_compression_ratio_max=ratio * 2).rows) == 300_000


def _with_folders(count: int, *, also: tuple[str, ...] = ()) -> bytes:
    """An archive of a file and of so many folders, or other entries without content."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for number in range(count):
            archive.writestr(f"f{number}/", b"")
        for name in also:
            archive.writestr(name, CONTENT)
    return buffer.getvalue()


@pytest.mark.parametrize("name", ["songs.zip", "songs.xlsx", "songs.ods"])
async def test_an_archive_of_very_many_entries_is_refused_before_they_are_listed(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(_with_folders(45_000, also=("songs.csv",)))
    with pytest.raises(SyncError, match="than are looked at") as caught:
        await read_path(name, context_for(tmp_path))
    assert caught.value.reason == "SOURCE_MALFORMED"


def test_an_archive_of_many_entries_with_one_table_is_read(tmp_path: Path) -> None:
    reading = read_bytes(tmp_path, _with_folders(5_000, also=("songs.csv",)), name="songs.zip")
    assert len(reading.rows) == 20_000


def _skippable(count: int) -> bytes:
    return b"\x50\x2a\x4d\x18\0\0\0\0" * count


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("songs.csv.gz", gzip.compress(b"") * 60_000 + gzip.compress(CONTENT)),
        ("songs.csv.gz", gzip.compress(b"a") * 60_000),
        ("songs.csv.zst", _skippable(60_000) + zstd(CONTENT)),
        ("songs.csv.zst", zstd(b"") * 60_000),
    ],
)
async def test_countless_parts_with_next_to_nothing_in_them_are_refused(
    tmp_path: Path, name: str, content: bytes
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SyncError) as caught:
        await read_path(name, context_for(tmp_path))
    assert caught.value.reason == "SOURCE_MALFORMED"


@pytest.mark.parametrize(
    ("name", "compress", "part_bytes"),
    [
        ("songs.csv.gz", gzip.compress, 1000),
        ("songs.csv.zst", zstd, 1000),
        ("songs.csv.zst", lambda part: _skippable(1) + zstd(part), 1000),
    ],
)
def test_a_file_that_was_compressed_in_many_parts_is_read(
    tmp_path: Path, name: str, compress: Callable[[bytes], bytes], part_bytes: int
) -> None:
    parts = [CONTENT[at : at + part_bytes] for at in range(0, len(CONTENT), part_bytes)]
    reading = read_bytes(tmp_path, b"".join(map(compress, parts)), name=name)
    assert len(reading.rows) == 20_000


async def test_the_ratio_of_a_zip_is_that_of_what_was_read_so_far(tmp_path: Path) -> None:
    """Its end would not compress; what comes before it grows a thousand times."""
    noise = random.Random(1).randbytes(4_000_000).hex().encode()
    (tmp_path / "songs.zip").write_bytes(zipped(b"a,b\n" + b"1,2\n" * 8_000_000 + noise))
    with pytest.raises(SyncError, match="times its size"):
        await read_path("songs.zip", context_for(tmp_path, csv_compression_ratio_max=100))
