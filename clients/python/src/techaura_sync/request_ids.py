"""The two ids that a call may carry, as gateway and service read them.

The request id is what logs have a call under. The idempotency key (`request_id` of a message, Idempotency-Key of a request) makes it
harmless to send a call again.
"""

from __future__ import annotations

import re
import uuid

REQUEST_ID_KEY = "x-request-id"
IDEMPOTENCY_KEY = re.compile(r"[!-~]{1,128}")
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


def fit_or_new(given: str) -> str:
    """The request id that a caller gave, or a new one where that is not fit for logs."""
    return given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
