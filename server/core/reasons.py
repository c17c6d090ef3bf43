"""What every error reason means for the engine and for a person: one table, from which the docs are written too.

A reason is a name of the proto enum ErrorReason without its prefix; a test keeps the two equal. Its category decides
whether the nightly retry takes the run up again (contract, section 3). An error that knows more, such as the name of a
variable, carries a next step of its own in place of the table's.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Category(StrEnum):
    """The kind of an error (contract, section 3)."""

    VALIDATION = "validation"
    PARSING = "parsing"
    AUTHENTICATION = "authentication"
    NETWORK = "network"
    PROCESSING = "processing"
    SYSTEM = "system"


class Reason(StrEnum):
    """What ended a run or refused a call."""

    INVALID_REQUEST = "INVALID_REQUEST"
    UNKNOWN_SOURCE_TYPE = "UNKNOWN_SOURCE_TYPE"
    INVALID_OPTION = "INVALID_OPTION"
    INVALID_MAPPING = "INVALID_MAPPING"
    SOURCE_NOT_FOUND = "SOURCE_NOT_FOUND"
    SOURCE_FORBIDDEN = "SOURCE_FORBIDDEN"
    SOURCE_UNSUPPORTED = "SOURCE_UNSUPPORTED"
    SOURCE_CHANGED = "SOURCE_CHANGED"
    SOURCE_MALFORMED = "SOURCE_MALFORMED"
    SOURCE_UNAVAILABLE = "SOURCE_UNAVAILABLE"
    SOURCE_REFUSED = "SOURCE_REFUSED"
    SOURCE_STALLED = "SOURCE_STALLED"
    SOURCE_LIMIT_REACHED = "SOURCE_LIMIT_REACHED"
    AUTHENTICATION_FAILED = "AUTHENTICATION_FAILED"
    SECRET_UNAVAILABLE = "SECRET_UNAVAILABLE"  # noqa: S105 - a name
    PAGINATION_LOOP = "PAGINATION_LOOP"
    ERROR_BUDGET_EXCEEDED = "ERROR_BUDGET_EXCEEDED"
    MIRROR_GUARD = "MIRROR_GUARD"
    RUN_NOT_FOUND = "RUN_NOT_FOUND"
    RUN_ENDED = "RUN_ENDED"
    OWNERS_LOST = "OWNERS_LOST"
    LEASE_LOST = "LEASE_LOST"
    DATABASE_UNAVAILABLE = "DATABASE_UNAVAILABLE"
    DATABASE_FULL = "DATABASE_FULL"
    DATABASE_LOCKED = "DATABASE_LOCKED"
    DATABASE_READ_ONLY = "DATABASE_READ_ONLY"
    DATABASE_DENIED = "DATABASE_DENIED"
    DATABASE_REFUSED = "DATABASE_REFUSED"
    LEDGER_MISMATCH = "LEDGER_MISMATCH"
    SHUTTING_DOWN = "SHUTTING_DOWN"
    SERVICE_UNAVAILABLE = "SERVICE_UNAVAILABLE"
    INTERNAL = "INTERNAL"
    TARGET_REFUSED = "TARGET_REFUSED"
    SCHEDULE_NOT_FOUND = "SCHEDULE_NOT_FOUND"
    SCHEDULE_LIMIT_REACHED = "SCHEDULE_LIMIT_REACHED"
    SCHEDULE_CHANGED = "SCHEDULE_CHANGED"
    QUEUE_FULL = "QUEUE_FULL"
    UNAUTHENTICATED = "UNAUTHENTICATED"
    PERMISSION_DENIED = "PERMISSION_DENIED"
    REQUEST_ID_REUSED = "REQUEST_ID_REUSED"
    CALLS_LIMITED = "CALLS_LIMITED"
    CALL_TIMED_OUT = "CALL_TIMED_OUT"
    UNKNOWN_METHOD = "UNKNOWN_METHOD"


# Categories of faults that a retry cannot fix (contract, section 3).
NOT_RETRYABLE_CATEGORIES: Final = frozenset({Category.VALIDATION, Category.PARSING, Category.AUTHENTICATION})


@dataclass(frozen=True, slots=True)
class ReasonInfo:
    """What a reason means.

    Args:
        category: the contract's category that it usually has.
        next_step: what a person does about it, in the imperative.
    """

    category: Category
    next_step: str

    @property
    def retryable(self) -> bool:
        """Whether a run that ends for this reason is retried at night."""
        return self.category not in NOT_RETRYABLE_CATEGORIES


REASONS: Final[dict[Reason, ReasonInfo]] = {
    Reason.INVALID_REQUEST: ReasonInfo(
        Category.VALIDATION, "correct the field that the error names, and send the request again"
    ),
    Reason.UNKNOWN_SOURCE_TYPE: ReasonInfo(Category.VALIDATION, "use csv or api as sourceType"),
    Reason.INVALID_OPTION: ReasonInfo(
        Category.VALIDATION, "correct the option that the error names; docs/reference.md lists them all"
    ),
    Reason.INVALID_MAPPING: ReasonInfo(
        Category.VALIDATION, "compare the mapping with the source's column names, and map every required column"
    ),
    Reason.SOURCE_NOT_FOUND: ReasonInfo(
        Category.VALIDATION,
        "check the file's name, that it lies in a folder of TECHAURA_SYNC_DATA_ROOTS, and that the service may read it",
    ),
    Reason.SOURCE_FORBIDDEN: ReasonInfo(
        Category.VALIDATION,
        "move the file into a folder of TECHAURA_SYNC_DATA_ROOTS, or let the host in with "
        "TECHAURA_SYNC_ALLOWED_HOSTS or TECHAURA_SYNC_PRIVATE_HOSTS",
    ),
    Reason.SOURCE_UNSUPPORTED: ReasonInfo(
        Category.VALIDATION, "give a regular file whose name ends as docs/guides/csv.md says"
    ),
    Reason.SOURCE_CHANGED: ReasonInfo(
        Category.PROCESSING, "let the file be written whole before it is synced (write beside it, then rename)"
    ),
    Reason.SOURCE_MALFORMED: ReasonInfo(
        Category.PARSING,
        "look at what the source delivers; correct its content, or delimiter, quote, encoding or dataPath",
    ),
    Reason.SOURCE_UNAVAILABLE: ReasonInfo(
        Category.NETWORK,
        "wait for the retry; if it fails again, check that the source answers and how often it may be asked",
    ),
    Reason.SOURCE_REFUSED: ReasonInfo(
        Category.PROCESSING, "check the URL, the method and the parameters against the source's manual"
    ),
    Reason.SOURCE_STALLED: ReasonInfo(
        Category.NETWORK, "check that the source still delivers, or raise TECHAURA_SYNC_STALL_TIMEOUT_SECONDS"
    ),
    Reason.SOURCE_LIMIT_REACHED: ReasonInfo(
        Category.PROCESSING, "narrow the source down, or raise the limit of TECHAURA_SYNC_HTTP_... that the error names"
    ),
    Reason.AUTHENTICATION_FAILED: ReasonInfo(
        Category.AUTHENTICATION, "check the credentials in options.auth, then sync again"
    ),
    Reason.SECRET_UNAVAILABLE: ReasonInfo(
        Category.AUTHENTICATION, "set the variable or the file that the error names for the service, then sync again"
    ),
    Reason.PAGINATION_LOOP: ReasonInfo(
        Category.PROCESSING, "check options.pagination: the source gives the same page again"
    ),
    Reason.ERROR_BUDGET_EXCEEDED: ReasonInfo(
        Category.VALIDATION,
        "set the option that the failure names, or correct the rows that the run's errors list, and sync again; if that many "
        "bad rows are right, raise TECHAURA_SYNC_ERROR_RATIO_MAX",
    ),
    Reason.MIRROR_GUARD: ReasonInfo(
        Category.VALIDATION,
        "check that the source is whole; if so many rows are really gone, raise options.mirrorGoneRatioMax",
    ),
    Reason.RUN_NOT_FOUND: ReasonInfo(Category.VALIDATION, "list the runs to find the id"),
    Reason.RUN_ENDED: ReasonInfo(Category.VALIDATION, "trigger the source again if it is to run once more"),
    Reason.OWNERS_LOST: ReasonInfo(
        Category.SYSTEM,
        "look into the logs for what ended the processes that executed the run, such as a lack of memory; the nightly "
        "retry tries again",
    ),
    Reason.LEASE_LOST: ReasonInfo(Category.SYSTEM, "nothing: another worker goes on with the run"),
    Reason.DATABASE_UNAVAILABLE: ReasonInfo(
        Category.SYSTEM, "check that the database runs and can be reached; the run goes on from its last batch"
    ),
    Reason.DATABASE_FULL: ReasonInfo(
        Category.SYSTEM, "free space on the disk of the database; the run goes on from its last batch"
    ),
    Reason.DATABASE_LOCKED: ReasonInfo(
        Category.SYSTEM,
        "find the connection that keeps a transaction open on that table, and end it; the run goes on from its last batch",
    ),
    Reason.DATABASE_READ_ONLY: ReasonInfo(
        Category.SYSTEM, "let the database be written to again (read_only = OFF), or name the primary in the URL"
    ),
    Reason.DATABASE_DENIED: ReasonInfo(
        Category.AUTHENTICATION,
        "check user and password in TECHAURA_SYNC_DATABASE_URL, and the user's privileges (docs/guides/mysql.md)",
    ),
    Reason.DATABASE_REFUSED: ReasonInfo(
        Category.VALIDATION,
        "run `techaura-syncd migrate --check`, which says what the database lacks; the service's log has the number and "
        "the statement",
    ),
    Reason.LEDGER_MISMATCH: ReasonInfo(Category.SYSTEM, "report it with the run's log: this is a fault of the service"),
    Reason.SHUTTING_DOWN: ReasonInfo(Category.SYSTEM, "send the request again in a few seconds"),
    Reason.SERVICE_UNAVAILABLE: ReasonInfo(
        Category.SYSTEM,
        "check that the gRPC server runs and that TECHAURA_SYNC_GRPC_TARGET names it, then send it again",
    ),
    Reason.INTERNAL: ReasonInfo(
        Category.SYSTEM, "look for the run's id in the service's log and report what stands there"
    ),
    Reason.TARGET_REFUSED: ReasonInfo(
        Category.VALIDATION, "change the column, constraint or trigger that the error names, then sync again"
    ),
    Reason.SCHEDULE_NOT_FOUND: ReasonInfo(Category.VALIDATION, "list the schedules to find the id"),
    Reason.SCHEDULE_LIMIT_REACHED: ReasonInfo(
        Category.VALIDATION, "delete a schedule, or raise TECHAURA_SYNC_SCHEDULES_MAX"
    ),
    Reason.SCHEDULE_CHANGED: ReasonInfo(Category.VALIDATION, "read the schedule again and repeat the change on it"),
    Reason.QUEUE_FULL: ReasonInfo(Category.SYSTEM, "send the request again when some of the waiting runs have ended"),
    Reason.UNAUTHENTICATED: ReasonInfo(
        Category.AUTHENTICATION,
        "send `authorization: Bearer KEY` (techaura-sync: TECHAURA_SYNC_TOKEN); whoever operates the service makes a key with "
        "`techaura-syncd keys create`",
    ),
    Reason.PERMISSION_DENIED: ReasonInfo(
        Category.AUTHENTICATION,
        "ask whoever operates the service for a key that may do this (docs/security.md has the scopes)",
    ),
    Reason.REQUEST_ID_REUSED: ReasonInfo(
        Category.VALIDATION,
        "give each call an Idempotency-Key (request_id) of its own, and send one again only as it was",
    ),
    Reason.CALLS_LIMITED: ReasonInfo(
        Category.SYSTEM, "make fewer calls: watch a run in place of asking for it again and again"
    ),
    Reason.CALL_TIMED_OUT: ReasonInfo(
        Category.SYSTEM,
        "look whether what it should do was done, and send it again (with the same request_id it is done once); check what "
        "keeps the service or its database busy",
    ),
    Reason.UNKNOWN_METHOD: ReasonInfo(
        Category.VALIDATION, "use the protos of the version that the service has; docs/reference.md lists its calls"
    ),
}


def next_step_for(reason: str) -> str:
    """What a person does about a reason; empty for an unknown one."""
    return REASONS[Reason(reason)].next_step if reason in REASONS else ""
