"""Command line values -> options of a source, in the form that REST callers write.

Secrets are named by the environment variable of the *service* that holds them (`SOURCE_...`), never given as
arguments, which every user of a machine can read.
"""

from __future__ import annotations

import json
from typing import Any, NoReturn

import typer

from techaura_sync.json_form import JsonFormError
from techaura_sync.spec import SyncSpec, sync_spec


def pairs(values: list[str], separator: str, option: str) -> dict[str, str]:
    """Split `key<separator>value` arguments.

    Raises:
        typer.BadParameter: one of them has no separator or no key, or a key comes twice.
    """
    result: dict[str, str] = {}
    for value in values:
        key, found, rest = value.partition(separator)
        if not found or not key.strip() or key.strip() in result:
            raise typer.BadParameter(
                f"{value!r} is not of the form KEY{separator}VALUE, or its key comes twice", param_hint=option
            )
        result[key.strip()] = rest.strip()
    return result


def auth(bearer_env: str | None, basic: str | None, api_key: str | None) -> dict[str, Any] | None:
    """The JSON of `options.auth`, or None.

    Args:
        bearer_env: name of the variable with the token.
        basic: `USER:VARIABLE`.
        api_key: `HEADER:VARIABLE`.

    Raises:
        typer.BadParameter: more than one is given, or one is malformed.
    """
    if sum(value is not None for value in (bearer_env, basic, api_key)) > 1:
        raise typer.BadParameter("give one of --bearer-env, --basic-env and --api-key-env")
    if bearer_env is not None:
        return {"type": "bearer", "token": {"env": bearer_env}}
    if basic is not None:
        ((user, env),) = pairs([basic], ":", "--basic-env").items()
        return {"type": "basic", "username": user, "password": {"env": env}}
    if api_key is not None:
        ((header, env),) = pairs([api_key], ":", "--api-key-env").items()
        return {"type": "apikey", "apiKeyHeader": header, "apiKeyValue": {"env": env}}
    return None


def spec_of(
    source_type: str, source_identifier: str, text: str | None, flags: dict[str, Any] | None = None
) -> SyncSpec:
    """What to sync: the options of `--options`, with what other arguments say in their place.

    Args:
        text: JSON as the REST contract has it, or None.
        flags: the same as values; one that is None or empty says nothing.

    Raises:
        typer.BadParameter: the JSON is none, or one of the options is malformed.
    """
    given = {key: value for key, value in (flags or {}).items() if value not in (None, {}, [])}
    try:
        options = {} if text is None else json.loads(text, parse_constant=_no_json)
        if isinstance(options, dict):
            options |= given
        return sync_spec(source_type, source_identifier, options)
    except JsonFormError as error:
        raise typer.BadParameter(error.text, param_hint="--options" if text is not None else None) from error
    except ValueError as error:
        raise typer.BadParameter(f"is no JSON: {error}", param_hint="--options") from error


def _no_json(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")
