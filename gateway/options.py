"""`options` of a request: JSON as callers write it -> the message of the source type, or a 400 that names the option."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from techaura_sync import Options
from techaura_sync.json_form import JsonFormError
from techaura_sync.requests import options_from_json

from gateway.errors import RequestFaultError


def read_options(source_type: str, options: Any) -> Options | None:
    """Turn the `options` of a request into the message of its source type.

    Args:
        source_type: as requested; for one that is not known here the service gets none and refuses the type itself.
        options: the parsed JSON, or None when there was none.

    Raises:
        RequestFaultError: 400 that names the option at fault.
    """
    try:
        return options_from_json(source_type, options)
    except JsonFormError as error:
        raise RequestFaultError(
            HTTPStatus.BAD_REQUEST, error.text, reason="INVALID_OPTION", field=error.path
        ) from error
