"""A check of our own beside those of schemathesis, loaded by schemathesis.toml."""

from __future__ import annotations

from typing import Any, Final

import schemathesis
from schemathesis import Case, CheckContext, Response

# What only the service can judge: that of the source itself, and fields whose language no schema describes.
_REASONS: Final = frozenset({"INVALID_OPTION", "INVALID_MAPPING"})
_FIELDS: Final = frozenset({"sourceIdentifier", "cron", "timeZone", "options", "pageToken"})


@schemathesis.check
def refusals_are_beyond_the_document(ctx: CheckContext, response: Response, case: Case[Any]) -> None:
    """A body that fits the document is refused only for what the document cannot say."""
    if case.meta is None or not case.meta.generation.mode.is_positive or response.status_code != 400:
        return
    body = response.json()
    reason, field = body["reason"], body.get("field", "")
    # Sizes, depth and digits of JSON itself: each has a maximum, whatever the schema of the body.
    is_of_json = not field and body["error"].startswith("the body ")
    # Which custom source types are installed no document knows.
    is_of_source = reason.startswith("SOURCE_") or reason == "UNKNOWN_SOURCE_TYPE" or field in _FIELDS
    is_of_options = reason in _REASONS and field.partition(".")[0] == "options"
    assert is_of_json or is_of_source or is_of_options, f"the document allows what is refused: {body['error']}"
