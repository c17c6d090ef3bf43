"""What every error reason means for the engine and for a person: one table, from which the docs are written too.

A reason is a name of the proto enum ErrorReason without its prefix. Its category decides whether the nightly retry takes
the run up again (contract, section 3). An error that knows more, such as the name of a variable, carries a next step of
its own in place of the table's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Category = Literal["validation", "parsing", "authentication", "network", "processing", "system"]

# Categories that trying again cannot mend (contract, section 3).
NOT_RETRYABLE_CATEGORIES: Final = frozenset({"validation", "parsing", "authentication"})


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason.

    Args:
        category: the contract's category that it usually has.
        next_step: what a person does about it, in the imperative.
    """

    category: Category
    next_step: str

    @property
    def retryable(self) -> bool:
        """Whether a run that ends for this reason is taken up again at night."""
        return self.category not in NOT_RETRYABLE_CATEGORIES


REASONS: Final[dict[str, Reason]] = {
    "INVALID_REQUEST": Reason("validation", "correct the field that the error names, and send the request again"),
    "UNKNOWN_SOURCE_TYPE": Reason("validation", "use csv or api as sourceType"),
    "INVALID_OPTION": Reason("validation", "correct the option that the error names; docs/reference.md lists them all"),
    "INVALID_MAPPING": Reason(
        "validation", "compare the mapping with the source's column names, and map every required column"
    ),
    "SOURCE_NOT_FOUND": Reason(
        "validation",
        "check the file's name, that it lies in a folder of TECHAURA_SYNC_DATA_ROOTS, and that the service may read it",
    ),
    "SOURCE_FORBIDDEN": Reason(
        "validation",
        "move the file into a folder of TECHAURA_SYNC_DATA_ROOTS, or let the host in with TECHAURA_SYNC_ALLOWED_HOSTS",
    ),
    "SOURCE_UNSUPPORTED": Reason("validation", "give a regular file that ends in .csv, .csv.gz, .csv.zst or .zip"),
    "SOURCE_CHANGED": Reason(
        "processing", "let the file be written whole before it is synced (write beside it, then rename)"
    ),
    "SOURCE_MALFORMED": Reason(
        "parsing", "look at what the source delivers; correct its content, or delimiter, quote, encoding or dataPath"
    ),
    "SOURCE_UNAVAILABLE": Reason(
        "network", "wait for the retry; if it fails again, check that the source answers and how often it may be asked"
    ),
    "SOURCE_REFUSED": Reason("processing", "check the URL, the method and the parameters against the source's manual"),
    "SOURCE_STALLED": Reason(
        "network", "check that the source still delivers, or raise TECHAURA_SYNC_STALL_TIMEOUT_SECONDS"
    ),
    "SOURCE_LIMIT_REACHED": Reason(
        "processing", "narrow the source down, or raise the limit of TECHAURA_SYNC_HTTP_... that the error names"
    ),
    "AUTHENTICATION_FAILED": Reason("authentication", "check the credentials in options.auth, then sync again"),
    "SECRET_UNAVAILABLE": Reason(
        "authentication", "set the variable or the file that the error names for the service, then sync again"
    ),
    "PAGINATION_LOOP": Reason("processing", "check options.pagination: the source gives the same page again"),
    "ERROR_BUDGET_EXCEEDED": Reason(
        "validation", "correct the rows that the run's errors list, or raise TECHAURA_SYNC_ERROR_RATIO_MAX; sync again"
    ),
    "MIRROR_GUARD": Reason(
        "validation",
        "check that the source is whole; if so many rows are really gone, raise options.mirrorGoneRatioMax",
    ),
    "RUN_NOT_FOUND": Reason("validation", "list the runs to find the id"),
    "RUN_ENDED": Reason("validation", "trigger the source again if it is to run once more"),
    "OWNERS_LOST": Reason(
        "system",
        "look into the logs for what ended the processes that executed the run, such as a lack of memory; the nightly "
        "retry tries again",
    ),
    "LEASE_LOST": Reason("system", "nothing: another worker goes on with the run"),
    "DATABASE_UNAVAILABLE": Reason(
        "system", "check that the database runs and can be reached; the run goes on from its last batch"
    ),
    "DATABASE_FULL": Reason("system", "free space on the disk of the database; the run goes on from its last batch"),
    "DATABASE_LOCKED": Reason(
        "system",
        "find the connection that keeps a transaction open on that table, and end it; the run goes on from its last batch",
    ),
    "DATABASE_READ_ONLY": Reason(
        "system", "let the database be written to again (read_only = OFF), or name the primary in the URL"
    ),
    "DATABASE_DENIED": Reason(
        "authentication",
        "check user and password in TECHAURA_SYNC_DATABASE_URL, and the user's privileges (docs/guides/mysql.md)",
    ),
    "DATABASE_REFUSED": Reason(
        "validation",
        "run `techaura-syncd migrate --check`, which says what the database lacks; the service's log has the number and "
        "the statement",
    ),
    "LEDGER_MISMATCH": Reason("system", "report it with the run's log: this is a fault of the service"),
    "SHUTTING_DOWN": Reason("system", "send the request again in a few seconds"),
    "SERVICE_UNAVAILABLE": Reason(
        "system", "check that the gRPC server runs and that TECHAURA_SYNC_GRPC_TARGET names it, then send it again"
    ),
    "INTERNAL": Reason("system", "look for the run's id in the service's log and report what stands there"),
    "TARGET_REFUSED": Reason(
        "validation", "change the column, constraint or trigger that the error names, then sync again"
    ),
    "SCHEDULE_NOT_FOUND": Reason("validation", "list the schedules to find the id"),
    "SCHEDULE_LIMIT_REACHED": Reason("validation", "delete a schedule, or raise TECHAURA_SYNC_SCHEDULES_MAX"),
    "SCHEDULE_CHANGED": Reason("validation", "read the schedule again and repeat the change on it"),
}


def next_step_for(reason: str) -> str:
    """What a person does about a reason; empty for one that is not known."""
    known = REASONS.get(reason)
    return known.next_step if known else ""
