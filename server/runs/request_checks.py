"""Checks of every request that names a source, before anything is read or stored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from server.core.errors import InvalidRequestError
from server.core.reasons import Reason
from server.sources.registry import source_type
from server.sources.source_type import Source
from server.sources.write_options import SyncMode
from server.targets.base import Target
from server.targets.registry import find_target

IDENTIFIER_CHARS_MAX: Final = 255


def checked_source(source_type_name: str, source_identifier: str, options: Mapping[str, Any]) -> tuple[str, Source]:
    """The source type's name and the source of a request.

    Raises:
        InvalidRequestError: INVALID_REQUEST, UNKNOWN_SOURCE_TYPE, INVALID_OPTION or INVALID_MAPPING.
    """
    if not source_type_name or not source_identifier:
        raise InvalidRequestError(
            Reason.INVALID_REQUEST, "sourceType and sourceIdentifier are required", field="sourceType"
        )
    kind = source_type(source_type_name)
    if len(source_identifier) > IDENTIFIER_CHARS_MAX:
        raise InvalidRequestError(
            Reason.INVALID_REQUEST,
            f"sourceIdentifier has more than {IDENTIFIER_CHARS_MAX} characters",
            field="sourceIdentifier",
        )
    source = kind.load(source_identifier, options, True)
    check_mode(find_target(source.mapping.target), source.mapping.write.mode)
    return kind.name, source


def check_mode(target: Target, mode: SyncMode) -> None:
    """Refuse a mirror of a table whose rows cannot be switched off.

    Raises:
        InvalidRequestError: INVALID_OPTION.
    """
    if mode == "mirror" and target.availability_column is None:
        raise InvalidRequestError(
            Reason.INVALID_OPTION,
            f"options.mode cannot be mirror: {target.name} has no column by which a row is switched off",
            field="options.mode",
        )
