"""Turns the JSON of a caller into a SyncSpec, or raises a 400 that names the option."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from techaura_sync.json_form import JsonFormError
from techaura_sync.spec import SyncSpec, sync_spec

from gateway.errors import RequestFaultError


def read_spec(source_type: str, source_identifier: str, options: Any) -> SyncSpec:
    """Turn the keys of a request that name a source into a SyncSpec.

    Args:
        source_type: as requested; the service refuses an unknown one.
        options: the parsed JSON, or None when there was none.

    Raises:
        RequestFaultError: 400 that names the option at fault.
    """
    try:
        return sync_spec(source_type, source_identifier, options)
    except JsonFormError as error:
        raise RequestFaultError(
            HTTPStatus.BAD_REQUEST, error.text, reason="INVALID_OPTION", field=error.path
        ) from error
