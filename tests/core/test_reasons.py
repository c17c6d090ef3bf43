"""Every error reason is in the proto, in the table and in use, with the category that the table says."""

from __future__ import annotations

import ast
import errno
from collections.abc import Iterator
from pathlib import Path

import pymysql
import pytest
from sqlalchemy.exc import OperationalError
from techaura.sync.v1 import error_reasons_pb2

from db.errors import translate
from server.core import errors
from server.core.file_errors import file_error
from server.core.reasons import NOT_RETRYABLE_CATEGORIES, REASONS
from server.orchestration.ending import failure_of

PROJECT = Path(__file__).parents[2]
CLASSES = {
    "Retryable": "network", "Fatal": "processing", "Invalid": "validation", "NotFound": "validation",
    "Conflict": "validation", "PageMissing": "processing", "Busy": "network",
}  # fmt: skip
# The same reason where the fault lies elsewhere than usual.
OTHER_CATEGORIES = {
    ("SECRET_UNAVAILABLE", "system"),  # the service's own key
    ("SOURCE_MALFORMED", "validation"),
    ("SOURCE_UNAVAILABLE", "system"),  # a file on a disk that fails
    ("SOURCE_FORBIDDEN", "processing"),
    ("SOURCE_REFUSED", "network"),  # a certificate that proves nothing
    ("RUN_NOT_FOUND", "system"),  # deleted while it was executed
    ("INTERNAL", "processing"),
}


def raised() -> Iterator[tuple[str, str, str]]:
    """Place, reason and category of each error that the server's code makes with a reason written out."""
    for path in sorted((PROJECT / "server").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call) or getattr(node.func, "id", "") not in CLASSES or not node.args:
                continue
            if isinstance(node.args[0], ast.Constant):
                given = [word.value for word in node.keywords if word.arg == "category"]
                category = given[0].value if given and isinstance(given[0], ast.Constant) else ""
                usual = "" if given else CLASSES[node.func.id]
                yield f"{path.name}:{node.lineno}", str(node.args[0].value), category or usual


def test_the_table_has_the_reasons_of_the_proto_and_no_other() -> None:
    names = {name.removeprefix("ERROR_REASON_") for name in error_reasons_pb2.ErrorReason.DESCRIPTOR.values_by_name}
    assert names - {"UNSPECIFIED"} == set(REASONS)


def test_every_reason_that_the_code_raises_is_known_under_its_category() -> None:
    found = list(raised())
    assert len(found) > 50
    wrong = [
        entry for entry in found
        if entry[1] not in REASONS
        or (entry[2] and entry[2] != REASONS[entry[1]].category and entry[1:] not in OTHER_CATEGORIES)
    ]  # fmt: skip
    assert wrong == []


@pytest.mark.parametrize("name", sorted(REASONS))
def test_a_reason_says_what_to_do_and_whether_it_is_retried(name: str) -> None:
    reason = REASONS[name]
    assert reason.next_step[0].islower()
    assert reason.retryable is (reason.category not in NOT_RETRYABLE_CATEGORIES)
    failure = failure_of(errors.Fatal(name, "m", category=reason.category))
    assert (failure.retryable, failure.next_step) == (reason.retryable, reason.next_step)


def test_an_error_that_knows_more_says_its_own_next_step() -> None:
    error = errors.Fatal("AUTHENTICATION_FAILED", "m", category="authentication", next_step="check SOURCE_TOKEN")
    assert failure_of(error).next_step == "check SOURCE_TOKEN"


@pytest.mark.parametrize(
    ("number", "reason", "retryable"),
    [
        (errno.ENOENT, "SOURCE_NOT_FOUND", False),
        (errno.EACCES, "SOURCE_NOT_FOUND", False),
        (errno.ELOOP, "SOURCE_FORBIDDEN", False),
        (errno.EISDIR, "SOURCE_UNSUPPORTED", False),
        (errno.EIO, "SOURCE_UNAVAILABLE", True),
        (errno.ESTALE, "SOURCE_UNAVAILABLE", True),
        (errno.EMFILE, "SOURCE_UNAVAILABLE", True),
        (errno.ENOSPC, "SOURCE_UNAVAILABLE", True),
        (errno.EBADF, "INTERNAL", True),
    ],
)
def test_errors_of_the_operating_system_have_a_reason(number: int, reason: str, retryable: bool) -> None:
    failure = failure_of(OSError(number, "x", "/secret/path"))
    assert (failure.reason, failure.retryable) == (reason, retryable)
    assert failure.next_step
    assert "/secret" not in file_error(OSError(number, "x", "/secret/path")).message


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (1021, "DATABASE_FULL"),
        (1114, "DATABASE_FULL"),
        (1040, "DATABASE_UNAVAILABLE"),
        (1205, "DATABASE_UNAVAILABLE"),
        (1213, "DATABASE_UNAVAILABLE"),
        (2006, "DATABASE_UNAVAILABLE"),
        (2013, "DATABASE_UNAVAILABLE"),
        (1044, "DATABASE_DENIED"),
        (1045, "DATABASE_DENIED"),
        (1142, "DATABASE_DENIED"),
        (1054, "DATABASE_REFUSED"),
        (1146, "DATABASE_REFUSED"),
        (4242, "DATABASE_REFUSED"),
    ],
)
def test_error_numbers_of_the_database_have_a_reason(code: int, reason: str) -> None:
    error = translate(OperationalError("SELECT 1", {}, pymysql.err.OperationalError(code, "x")))
    failure = failure_of(error)
    assert (failure.reason, failure.category, failure.retryable) == (reason, "system", True)
    assert failure.next_step == REASONS[reason].next_step
