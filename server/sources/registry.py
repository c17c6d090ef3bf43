"""The one list of source types. A new source is one folder and one entry here.

Modules of a source are imported when it is first used, so that a start pays for none of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol

from server.core.config import Settings
from server.core.errors import Invalid
from server.core.secret_box import SecretPlaces, SecretValue
from server.sources.base import SourceContext, SourceReader, WatermarkRule
from server.sources.write_options import DEFAULT_WRITE_OPTIONS, WriteOptions

if TYPE_CHECKING:
    from server.sources.head import SourceHead

Reveal = Callable[[SecretValue], str]


@dataclass(frozen=True, slots=True)
class MappingRequest:
    """What the options of a source say about the target.

    Args:
        target: name of the target table.
        columns: target column -> source column, as requested.
        constants: target column -> canonical text.
        aliases: target column -> other names that its source column may have.
        decimal_comma, null_tokens, strip_text, checked_json: see pipeline/contract.py.
        write: what becomes of rows that are edited in the table, or gone from the source.
    """

    target: str
    columns: Mapping[str, str]
    constants: Mapping[str, str]
    aliases: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    decimal_comma: bool = False
    null_tokens: frozenset[str] = frozenset()
    strip_text: bool = True
    checked_json: frozenset[str] = frozenset()
    write: WriteOptions = DEFAULT_WRITE_OPTIONS


class Source(Protocol):
    """A source with its options checked: ready to be opened."""

    @property
    def mapping(self) -> MappingRequest:
        """What its options say about the target."""
        ...

    @property
    def watermark(self) -> WatermarkRule | None:
        """Where its watermark is kept; None for a source that is always read whole."""
        ...

    async def open(self, context: SourceContext, reveal: Reveal) -> SourceReader:
        """Open it for one reading.

        Raises:
            Invalid: it is not there, or is not what it should be.
            Retryable, Fatal: see sources/base.py.
        """
        ...

    async def check(self, context: SourceContext) -> tuple[str, ...] | None:
        """Look at it without reading it through; answer its column names, or None when that needs the network.

        Raises:
            Invalid
        """
        ...

    async def head(self, context: SourceContext, reveal: Reveal, rows_max: int) -> SourceHead:
        """Read its beginning, with at most so many samples, for a person who sets it up.

        Raises:
            Invalid, Retryable, Fatal: as for a run.
        """
        ...


@dataclass(frozen=True, slots=True)
class SourceType:
    """One kind of source.

    Args:
        name: the contract's sourceType.
        load: checks an options document and makes a `Source` for an identifier; `from_caller` refuses what only the
            database may hold, such as sealed secrets. Raises Invalid.
        secret_places: answers where an options document holds secrets.
        identity: what an identifier means, the same for each of its spellings. May look at the disk; never raises.
        secrets_go_to: where the secrets of the options are sent, such as scheme, host and port; never raises.
    """

    name: str
    load: Callable[[str, Mapping[str, Any], bool], Source]
    secret_places: Callable[[], SecretPlaces]
    identity: Callable[[str, Settings], str]
    secrets_go_to: Callable[[str], str]


def _csv(identifier: str, options: Mapping[str, Any], _from_caller: bool) -> Source:
    from server.sources.csv.source import CsvSource

    return CsvSource.load(identifier, options)


def _api(identifier: str, options: Mapping[str, Any], from_caller: bool) -> Source:
    from server.sources.api.source import ApiSource

    return ApiSource.load(identifier, options, from_caller=from_caller)


def _csv_identity(identifier: str, settings: Settings) -> str:
    from server.sources.csv.identity import file_identity

    return file_identity(identifier, settings.data_root_paths)


def _api_identity(identifier: str, _settings: Settings) -> str:
    from server.sources.api.urls import identity

    return identity(identifier)


def _api_secrets_go_to(identifier: str) -> str:
    from server.sources.api.urls import origin

    try:
        return str(origin(identifier))
    except ValueError:
        return identifier


def _api_secrets() -> SecretPlaces:
    from server.sources.api.options import SECRET_PLACES

    return SECRET_PLACES


SOURCE_TYPES: Final[dict[str, SourceType]] = {
    "csv": SourceType("csv", _csv, SecretPlaces, _csv_identity, lambda _identifier: ""),
    "api": SourceType("api", _api, _api_secrets, _api_identity, _api_secrets_go_to),
}


def source_type(name: str) -> SourceType:
    """The source type of that name.

    Raises:
        Invalid: UNKNOWN_SOURCE_TYPE.
    """
    found = SOURCE_TYPES.get(name)
    if found is None:
        known = ", ".join(sorted(SOURCE_TYPES))
        raise Invalid("UNKNOWN_SOURCE_TYPE", f"unknown sourceType; this service knows {known}", field="sourceType")
    return found
