r"""Text from outside, made fit for a terminal: whatever could steer it is shown as an escape such as `\x1b`.

That holds for file names, column names, messages and values alike, whoever sent them: C0, DEL and C1 controls, line
and paragraph separators, marks that turn the direction of text, and halves of surrogate pairs.
"""

from __future__ import annotations

import re
from typing import Final

_STEERING: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
# JSON escapes C0 controls itself.
_STEERING_IN_JSON: Final = re.compile(
    "[\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)


def shown(text: str) -> str:
    """One line of text, line breaks and tabs in it escaped too."""
    return _STEERING.sub(lambda match: repr(match[0])[1:-1], text)


def shown_json(text: str) -> str:
    """The text of a JSON value, which stays the same value."""
    return _STEERING_IN_JSON.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
