"""The head of a source: what a look at its beginning tells, for a person who sets one up."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote, quote_plus

from server.sources.api.json_text import JsonRefused, parse_whole
from server.sources.api.json_values import NumberText, to_text
from server.sources.api.secret_names import means_secret
from server.sources.base import SourceBatch

HIDDEN: Final = "***"
TEXT_CHARS_MAX: Final = 500
LIST_ITEMS_MAX: Final = 20
FIELDS_MAX: Final = 200
# Shorter secrets would hide half of what is shown, and protect nothing.
_SECRET_CHARS_MIN: Final = 4


@dataclass(frozen=True, slots=True)
class SourceHead:
    """What the beginning of a source holds.

    Args:
        columns: names that the mapping may use; for an API the target columns that it fills.
        fields: names of the fields that the records have, in order; at most FIELDS_MAX.
        samples: the first records as the source has them, by field.
        batch: the first records as a run would get them; None when there are none.
        is_whole: whether the source ends there.
        detected: what was found out, such as pagination or encoding; short texts.
        notices: what a person should know.
    """

    columns: tuple[str, ...]
    fields: tuple[str, ...]
    samples: tuple[Mapping[str, Any], ...]
    batch: SourceBatch | None
    is_whole: bool
    detected: Mapping[str, str] = field(default_factory=dict)
    notices: tuple[str, ...] = ()


def shown(value: Any, secrets: Collection[str], name: str = "") -> Any:
    """A value as it may be shown: cut to size, without secrets by name and without the request's own.

    Args:
        value: parsed JSON.
        secrets: the request's secrets in clear, which a source may say back.
        name: of the field that holds the value.
    """
    if isinstance(value, Mapping):
        kept = list(value.items())[:FIELDS_MAX]
        return {
            without_secrets(str(key), secrets)[:TEXT_CHARS_MAX]: shown(item, secrets, str(key)) for key, item in kept
        }
    if isinstance(value, list):
        return [shown(item, secrets, name) for item in value[:LIST_ITEMS_MAX]]
    if means_secret(name, value):
        return HIDDEN
    if not isinstance(value, str) or isinstance(value, NumberText):
        return HIDDEN if str(value) in secrets and len(str(value)) >= _SECRET_CHARS_MIN else value
    value = without_secrets(value, secrets)
    return value if len(value) <= TEXT_CHARS_MAX else f"{value[:TEXT_CHARS_MAX]}..."


def without_secrets(text: str, secrets: Collection[str]) -> str:
    """A text in which no secret stands, nor one as it is written in a URL."""
    for secret in secrets:
        if len(secret) >= _SECRET_CHARS_MIN:
            for form in {secret, quote(secret, safe=""), quote(secret), quote_plus(secret)}:
                text = text.replace(form, HIDDEN)
    return text


def shown_text(text: str, secrets: Collection[str], name: str = "") -> str:
    """A text as it may be shown; where it is a JSON object or array, what stands in it is cut and hidden by name."""
    if text[:1] in ("{", "["):
        try:
            return to_text(shown(parse_whole(text), secrets, name))
        except JsonRefused:
            pass
    return str(shown(text, secrets, name))
