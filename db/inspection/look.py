"""The inspection of a database: before its tables are created, and once they exist."""

from __future__ import annotations

from db.engine import Database
from db.error_numbers import DatabaseReason
from db.errors import RefusedDatabaseError
from db.inspection.findings import Finding
from db.inspection.privileges import missing_privileges
from db.inspection.server import server_findings
from db.inspection.tables import table_findings
from db.migrate import HEAD_REVISION, current_revision, too_new

# In place of a revision that may not be read.
_UNREADABLE = ""


async def look_at(database: Database) -> list[Finding]:
    """Everything that will not work on a database as it is now, refusals first. Nothing is changed.

    Raises:
        DatabaseError: the server cannot be asked.
    """
    revision = await _revision(database)
    newer = too_new(revision or None)
    found = [Finding("refuses", "server", *newer)] if newer else []
    if database.is_sqlite:
        return found
    found += [
        *await missing_privileges(database, to_migrate=revision not in (HEAD_REVISION, _UNREADABLE)),
        *await server_findings(database),
        *await table_findings(database),
    ]
    return sorted(found, key=lambda finding: finding.severity != "refuses")


async def _revision(database: Database) -> str | None:
    try:
        return await current_revision(database)
    except RefusedDatabaseError as error:
        if error.reason != DatabaseReason.DENIED:
            raise
        # Not even the recorded revision may be read: that is found among the privileges.
        return _UNREADABLE


def refuse(findings: list[Finding]) -> None:
    """Raise the refusals among the findings, as one text.

    Raises:
        RefusedDatabaseError
    """
    refusing = [finding for finding in findings if finding.severity == "refuses"]
    if refusing:
        told = "; ".join(f"{finding.text}: {finding.remedy}" for finding in refusing)
        raise RefusedDatabaseError(f"the database cannot be used as it is: {told}")
