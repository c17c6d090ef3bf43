"""The privileges that docs/guides/mysql.md tells people to grant, read from that page: no test has any other."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

GUIDE: Final = Path(__file__).resolve().parents[2] / "docs" / "guides" / "mysql.md"


def _lists() -> list[tuple[str, ...]]:
    found = re.findall(r"^ *GRANT ([A-Z, ]+?)\s+ON techaura\.\*", GUIDE.read_text(encoding="utf-8"), re.MULTILINE)
    return [tuple(part.strip() for part in each.split(",")) for each in found]


# The guide's first list is for a service that makes its tables, the second for one that finds them made.
FIRST_START, AFTERWARDS = _lists()


def grant(privileges: Sequence[str], database: str, user: str) -> str:
    """The statement that grants them."""
    return f"GRANT {', '.join(privileges)} ON `{database}`.* TO `{user}`@'%'"
