"""What an inspection of the database found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["refuses", "limits"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that does not work as it should.

    Args:
        severity: `refuses`: the service cannot work so; `limits`: it can, without something.
        area: privilege, server, table, column, character set or key.
        text: what is so, and what follows from it.
        remedy: the GRANT, SET or ALTER that mends it.
    """

    severity: Severity
    area: str
    text: str
    remedy: str
