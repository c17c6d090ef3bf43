"""Remembers the keys of a walk's items, so that items which come back on another page are known as such.

In memory each key costs a hash of 64 bits. Up to KEYS_MAX of them every key is remembered; beyond that only those whose
hash ends in enough zeros, half as many each time the room is full. The checkpoint takes the same kind of sample, of at
most SAMPLE_MAX keys, so that a run which another worker takes up keeps its evidence in a few kilobytes. Deciding that
*no* key repeats needs all of them, which no bounded memory can hold: a mirror therefore also counts the rows that it
has met in the database (sync_seen_rows), where each is stored once in any case (execution/mirror.py).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

KEYS_MAX: Final = 262_144
SAMPLE_MAX: Final = 512
_KEY_BYTES: Final = 8
_DIGEST_BYTES: Final = 16


@dataclass(frozen=True, slots=True)
class KeySample:
    """Some of the keys of a walk; goes into the checkpoint.

    Args:
        hashes: those of the keys whose hash ends in `zeros` zero bits.
        zeros: 0 while these are all keys.
    """

    hashes: tuple[int, ...] = ()
    zeros: int = 0

    def with_new(self, hashes: Sequence[int]) -> KeySample:
        """The sample with further keys, none of which is in it."""
        kept, zeros = (*self.hashes, *_ending_in(hashes, self.zeros)), self.zeros
        while len(kept) > SAMPLE_MAX:
            zeros += 1
            kept = tuple(_ending_in(kept, zeros))
        return self if kept == self.hashes else KeySample(kept, zeros)

    def to_json(self) -> dict[str, Any]:
        """The checkpoint's form."""
        packed = b"".join(each.to_bytes(_KEY_BYTES, "little") for each in self.hashes)
        return {"zeros": self.zeros, "hashes": base64.b64encode(packed).decode("ascii")}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> KeySample:
        """The sample that `to_json` wrote.

        Raises:
            KeyError, ValueError, TypeError: it is no such document.
        """
        try:
            packed = base64.b64decode(document["hashes"], validate=True)
        except binascii.Error as error:
            raise ValueError("no base64") from error
        pieces = range(0, len(packed), _KEY_BYTES)
        hashes = (int.from_bytes(packed[at : at + _KEY_BYTES], "little") for at in pieces)
        return cls(tuple(hashes), int(document["zeros"]))


@dataclass(frozen=True, slots=True)
class PageKeys:
    """The keys of one page.

    Args:
        count: distinct ones on it.
        new: those that no page before had, as far as is remembered.
        is_stale: whether earlier pages had all of those by which that can be told.
        digest: of all of them, in whatever order they stand; the same for pages of the same items.
    """

    count: int
    new: Sequence[int]
    is_stale: bool
    digest: str

    @property
    def repeated(self) -> int:
        """How many of them an earlier page had."""
        return self.count - len(self.new)


class KeyMemory:
    """The keys of one walk.

    Args:
        sample: what the checkpoint has kept of the keys before.
    """

    def __init__(self, sample: KeySample) -> None:
        self._known = set(sample.hashes)
        self._zeros = 0

    def take(self, keys: Sequence[str]) -> PageKeys:
        """Remember the keys of a page."""
        blake = hashlib.blake2b
        digests = {blake(key.encode("utf-8", "surrogatepass"), digest_size=_KEY_BYTES).digest() for key in set(keys)}
        ordered = b"".join(sorted(digests))
        hashes = array("Q", ordered)
        new = [each for each in hashes if each not in self._known]
        kept = _ending_in(new, self._zeros)
        is_stale = not kept and (not self._zeros or bool(_ending_in(hashes, self._zeros)))
        self._known.update(kept)
        while len(self._known) > KEYS_MAX:
            self._zeros += 1
            self._known = set(_ending_in(self._known, self._zeros))
        digest = hashlib.blake2b(ordered, digest_size=_DIGEST_BYTES).hexdigest()
        return PageKeys(len(hashes), new, is_stale, digest)

    @property
    def is_sampled(self) -> bool:
        """Whether there were more keys than are all remembered."""
        return self._zeros > 0


def _ending_in(hashes: Any, zeros: int) -> list[int]:
    mask = (1 << zeros) - 1
    return [each for each in hashes if not each & mask]
