"""What a source says when the names that a mapping wants are not among its columns: which options would bring them.

The mapping knows names and no bytes, the source knows bytes and no target. A source that can be read in more than one way
tries its ways and asks a `Fits` of each; what it finds out is said in place of «there is no such column».
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from server.core.reasons import Reason
from server.sources.contract import SourceContext


@dataclass(frozen=True, slots=True)
class Fit:
    """What a mapping makes of the columns of one reading.

    Args:
        names: the source columns that fill target columns.
        mapping: target column -> source column, to be requested for it; empty when the names fit as they are.
    """

    names: tuple[str, ...]
    mapping: Mapping[str, str]


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
