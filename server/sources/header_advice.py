"""What a source says when the names that a mapping wants are not among its columns: which options would bring them.

The mapping knows names and no bytes, the source knows bytes and no target. A source that can be read in more than one way
tries its ways and asks a `Fits` of each; what it finds out is said in place of «there is no such column».
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, runtime_checkable

from server.core.reasons import Reason
from server.sources.contract import Reject, SourceContext

# Quotes that no CSV has; what writes them encloses values in them.
TYPOGRAPHIC_QUOTES: Final = frozenset("“”„«»")


def is_cut_name(name: str, quote: str) -> bool:
    """Whether a name begins or ends with a quote: it is a piece of what quotes enclose, and so are the values.

    Args:
        quote: of CSV; empty for none.
    """
    bare = name.strip()
    return not (TYPOGRAPHIC_QUOTES | {quote} - {""}).isdisjoint((bare[:1], bare[-1:]))


@dataclass(frozen=True, slots=True)
class Fit:
    """What a mapping makes of the columns of one reading.

    Args:
        names: the source columns that fill target columns.
        mapping: target column -> source column, to be requested for it; empty when the names fit as they are.
    """

    names: tuple[str, ...]
    mapping: Mapping[str, str]


READINGS_MAX: Final = 3

# The columns of a reading -> how they fit, or None when the mapping cannot be made of them.
Fits = Callable[[Sequence[str]], Fit | None]


@dataclass(frozen=True, slots=True)
class Advice:
    """What is said in place of a mapping's refusal.

    Args:
        reason: INVALID_OPTION, or INVALID_MAPPING when only the mapping is to be changed.
        field: the option to set first, such as `options.delimiter`.
        text: what the source looks like, and the options to set with their values.
        is_addition: whether it adds to the mapping's refusal, and does not replace it.
    """

    reason: Reason
    field: str
    text: str
    is_addition: bool = False


@runtime_checkable
class AdvisingSource(Protocol):
    """A source that can be read in more than one way."""

    async def advice(self, context: SourceContext, fits: Fits) -> Advice | None:
        """What to change so that a mapping fits which does not; None when no reading does.

        Raises:
            InvalidRequestError, RetryableError, FatalError: as for opening it.
        """
        ...


# Options in the form of the contract's JSON, which bring another reading where they take the place of those that were asked for.
Changes = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Variants:
    """Other readings of records whose header fits.

    Args:
        option: the option that they differ in, such as `encoding`.
        changes: what to set for each, the likeliest first.
        doubt: where the source itself does not tell which is meant, what is open, as a clause; empty where the one that
            loads most records is the right one.
        is_guess: whether the doubt stands although there is one reading alone.
        has_other_values: whether they are to be looked at although they load no more records, as their values are others.
    """

    option: str
    changes: tuple[Changes, ...]
    doubt: str = ""
    is_guess: bool = False
    has_other_values: bool = False


@runtime_checkable
class RereadableSource(AdvisingSource, Protocol):
    """A source whose other readings can be named, for a person to choose from."""

    async def header_readings(self, context: SourceContext, fits: Fits) -> tuple[Changes, ...]:
        """Readings that a mapping fits, the likeliest first; at most READINGS_MAX.

        Raises:
            InvalidRequestError, RetryableError, FatalError: as for opening it.
        """
        ...

    async def variants(self, context: SourceContext, asked: Changes, rejects: Sequence[Reject]) -> tuple[Variants, ...]:
        """Readings of the records that would load more of them, or other values.

        Args:
            asked: the options of the request, of which this source may have others.
            rejects: what was rejected as it is read now.

        Raises:
            InvalidRequestError, RetryableError, FatalError: as for opening it.
        """
        ...
