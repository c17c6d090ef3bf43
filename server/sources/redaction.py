"""What a source holds, made fit to be shown: cut to size, and without secrets by name or by value."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final
from urllib.parse import quote, quote_plus

from server.sources.exact_json.json_values import NumberText, to_text
from server.sources.exact_json.strict_json import JsonRefusedError, parse_whole
from server.sources.secret_names import means_secret
from server.sources.source_type import FIELDS_MAX

HIDDEN: Final = "***"
TEXT_CHARS_MAX: Final = 500
LIST_ITEMS_MAX: Final = 20
# Shorter secrets would hide half of what is shown, and protect nothing.
_SECRET_CHARS_MIN: Final = 4


def redacted(value: Any, secrets: Collection[str], name: str = "") -> Any:
    """A value as it may be shown: cut to size, without secrets by name and without the request's own.

    Args:
        value: parsed JSON.
        secrets: the request's secrets in clear, which a source may say back.
        name: of the field that holds the value.
    """
    if isinstance(value, Mapping):
        kept = list(value.items())[:FIELDS_MAX]
        return {
            without_secrets(str(key), secrets)[:TEXT_CHARS_MAX]: redacted(item, secrets, str(key)) for key, item in kept
        }
    if isinstance(value, list):
        return [redacted(item, secrets, name) for item in value[:LIST_ITEMS_MAX]]
    if means_secret(name, value):
        return HIDDEN
    if not isinstance(value, str) or isinstance(value, NumberText):
        return HIDDEN if str(value) in secrets and len(str(value)) >= _SECRET_CHARS_MIN else value
    value = without_secrets(value, secrets)
    return value if len(value) <= TEXT_CHARS_MAX else f"{value[:TEXT_CHARS_MAX]}..."


def masked(value: Any, secrets: Collection[str]) -> Any:
    """A parsed value in which none of these secrets stands; what else it holds is left as it is."""
    if isinstance(value, Mapping):
        return {without_secrets(str(key), secrets): masked(item, secrets) for key, item in value.items()}
    if isinstance(value, list):
        return [masked(item, secrets) for item in value]
    if isinstance(value, NumberText):
        return HIDDEN if str(value) in secrets else value
    if isinstance(value, str):
        return without_secrets(value, secrets)
    return HIDDEN if isinstance(value, int) and str(value) in secrets else value


def without_secrets(text: str, secrets: Collection[str]) -> str:
    """A text in which no secret stands, nor one as it is written in a URL."""
    # The longest first: one may be the beginning of another.
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= _SECRET_CHARS_MIN:
            for form in (secret, quote(secret, safe=""), quote(secret), quote_plus(secret)):
                text = text.replace(form, HIDDEN)
    return text


def shown_text(text: str, secrets: Collection[str], name: str = "") -> str:
    """A text as it may be shown; where it is a JSON object or array, what stands in it is cut and hidden by name."""
    if text[:1] in ("{", "["):
        try:
            return to_text(redacted(parse_whole(text), secrets, name))
        except JsonRefusedError:
            pass
    return str(redacted(text, secrets, name))
