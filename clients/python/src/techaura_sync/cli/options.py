"""Command line values -> option messages of a source.

Secrets are named by the environment variable of the *service* that holds them (`SOURCE_...`), never given as
arguments, which every user of a machine can read.
"""

from __future__ import annotations

from typing import TypeVar

import typer
from techaura.sync.v1 import sources_pb2

T = TypeVar("T")

METHODS = {"GET": sources_pb2.HTTP_METHOD_GET, "POST": sources_pb2.HTTP_METHOD_POST}
PAGINATIONS = {
    "page": sources_pb2.PAGINATION_TYPE_PAGE,
    "offset": sources_pb2.PAGINATION_TYPE_OFFSET,
    "cursor": sources_pb2.PAGINATION_TYPE_CURSOR,
    "link": sources_pb2.PAGINATION_TYPE_LINK,
    "auto": sources_pb2.PAGINATION_TYPE_AUTO,
}


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


def secret(env: str) -> sources_pb2.SecretText:
    """A secret that the service reads from its own environment."""
    return sources_pb2.SecretText(env=env)


def auth(bearer_env: str | None, basic: str | None, api_key: str | None) -> sources_pb2.ApiAuth | None:
    """The way a request proves who sends it, or None.

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
        return sources_pb2.ApiAuth(bearer=sources_pb2.BearerAuth(token=secret(bearer_env)))
    if basic is not None:
        ((user, env),) = pairs([basic], ":", "--basic-env").items()
        return sources_pb2.ApiAuth(basic=sources_pb2.BasicAuth(username=user, password=secret(env)))
    if api_key is not None:
        ((header, env),) = pairs([api_key], ":", "--api-key-env").items()
        return sources_pb2.ApiAuth(api_key=sources_pb2.ApiKeyAuth(header=header, value=secret(env)))
    return None


def choice(value: str, known: dict[str, T], option: str) -> T:
    """The enum value of a word.

    Raises:
        typer.BadParameter: the word is none of the known ones.
    """
    if value not in known:
        raise typer.BadParameter(f"{value!r} is none of {', '.join(known)}", param_hint=option)
    return known[value]
