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

from db.error_numbers import MEANINGS, DatabaseReason
from db.errors import DatabaseError, TransientDatabaseError, statement_of, translate
from server.core import errors
from server.core.file_errors import file_error
from server.core.reasons import NOT_RETRYABLE_CATEGORIES, REASONS, Category, Reason
from server.execution.verdict import failure_of

PROJECT = Path(__file__).parents[2]
CLASSES = {
    "RetryableError": "network", "FatalError": "processing", "InvalidRequestError": "validation",
    "NotFoundError": "validation", "StateConflictError": "validation", "PageMissingError": "processing",
    "RateLimitedError": "network", "ComeBackLaterError": "network", "HostPausedError": "network",
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
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name) or not node.args:
                continue
            if node.func.id in CLASSES and ast.unparse(node.args[0]).startswith("Reason."):
                given = [word.value for word in node.keywords if word.arg == "category"]
                category = given[0].attr.lower() if given and isinstance(given[0], ast.Attribute) else ""
                usual = "" if given else CLASSES[node.func.id]
                yield f"{path.name}:{node.lineno}", ast.unparse(node.args[0]).removeprefix("Reason."), category or usual


def test_the_table_has_the_reasons_of_the_proto_and_no_other() -> None:
    names = {name.removeprefix("ERROR_REASON_") for name in error_reasons_pb2.ErrorReason.DESCRIPTOR.values_by_name}
    assert names - {"UNSPECIFIED"} == set(REASONS) == set(Reason)
    assert set(DatabaseReason) < set(Reason)


def test_every_reason_that_the_code_raises_is_known_under_its_category() -> None:
    found = list(raised())
    assert len(found) > 50
    wrong = [
        entry for entry in found
        if entry[1] not in REASONS
        or (entry[2] and entry[2] != REASONS[Reason(entry[1])].category and entry[1:] not in OTHER_CATEGORIES)
    ]  # fmt: skip
    assert wrong == []


@pytest.mark.parametrize("name", sorted(REASONS))
def test_a_reason_says_what_to_do_and_whether_it_is_retried(name: Reason) -> None:
    reason = REASONS[name]
    assert reason.next_step[0].islower()
    assert reason.retryable is (reason.category not in NOT_RETRYABLE_CATEGORIES)
    failure = failure_of(errors.FatalError(name, "m", category=reason.category))
    assert (failure.retryable, failure.next_step) == (reason.retryable, reason.next_step)


def test_an_error_that_knows_more_says_its_own_next_step() -> None:
    error = errors.FatalError(
        Reason.AUTHENTICATION_FAILED, "m", category=Category.AUTHENTICATION, next_step="check SOURCE_TOKEN"
    )
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


def fault(code: int, said: str = "x", sql: str = "SELECT 1") -> DatabaseError:
    return translate(OperationalError(sql, {}, pymysql.err.OperationalError(code, said)))


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (1021, "DATABASE_FULL"),
        (1114, "DATABASE_FULL"),
        (1040, "DATABASE_UNAVAILABLE"),
        (2003, "DATABASE_UNAVAILABLE"),
        (2006, "DATABASE_UNAVAILABLE"),
        (2013, "DATABASE_UNAVAILABLE"),
        (1205, "DATABASE_LOCKED"),
        (1213, "DATABASE_LOCKED"),
        (1836, "DATABASE_READ_ONLY"),
        (1044, "DATABASE_DENIED"),
        (1045, "DATABASE_DENIED"),
        (1142, "DATABASE_DENIED"),
        (1862, "DATABASE_DENIED"),
        (3118, "DATABASE_DENIED"),
        (3159, "DATABASE_DENIED"),
        (1054, "DATABASE_REFUSED"),
        (1146, "DATABASE_REFUSED"),
        (1267, "DATABASE_REFUSED"),
        (3750, "DATABASE_REFUSED"),
        (4242, "DATABASE_REFUSED"),
    ],
)
def test_error_numbers_of_the_database_have_a_reason_and_only_what_time_mends_is_tried_again(
    code: int, reason: str
) -> None:
    failure = failure_of(fault(code))
    passes = reason not in ("DATABASE_DENIED", "DATABASE_REFUSED")
    assert (failure.reason, failure.category, failure.retryable) == (reason, REASONS[Reason(reason)].category, passes)
    assert failure.next_step
    assert "transaction (error" not in failure.message


@pytest.mark.parametrize("code", sorted(MEANINGS))
def test_the_words_for_a_number_name_the_table_and_never_what_the_server_says_of_values(code: int) -> None:
    error = fault(code, "Duplicate entry 'canary' for key 'x'", "INSERT INTO content_index (title) VALUES ('canary')")
    assert ("canary" in error.message) == (MEANINGS[code].names or code == 1290)
    assert error.statement == "INSERT content_index"
    assert "{" not in error.message
    assert MEANINGS[code].is_transient == isinstance(error, TransientDatabaseError) or code == 1290


def test_an_option_of_the_server_is_read_only_or_another_one() -> None:
    said = "The server is running with the --{} option so it cannot execute this statement"
    for option in ("read-only", "super-read-only", "read_only"):
        assert fault(1290, said.format(option)).reason == "DATABASE_READ_ONLY"
    refused = fault(1290, said.format("enforce-storage-engine"))
    assert refused.reason == "DATABASE_REFUSED"
    assert "enforce-storage-engine" in refused.message


def test_a_full_disk_is_known_under_whatever_number_it_comes() -> None:
    for code, said in [
        (1026, "Error writing file './x' (OS errno 28 - No space left on device)"),
        (1030, 'Got error 28 "No space left on device" from storage engine InnoDB'),
        (1598, "Binary logging not possible. Message: An error occurred (errno: 28)"),
    ]:
        assert fault(code, said).reason == "DATABASE_FULL"


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        ("SELECT a, b FROM `sync_runs` WHERE x = 1", "SELECT sync_runs"),
        ("INSERT INTO `content_index` (a) VALUES ('from secret')", "INSERT content_index"),
        ("INSERT IGNORE INTO sync_staging (a) VALUES (%s)", "INSERT sync_staging"),
        ("UPDATE content_index, sync_changes SET a = 1", "UPDATE content_index"),
        ("DELETE FROM sync_errors WHERE id = 1", "DELETE sync_errors"),
        ("LOAD DATA LOCAL INFILE 'x' INTO TABLE `sync_staging` (a)", "LOAD sync_staging"),
        ("CREATE TEMPORARY TABLE sync_staging (x INT) AS SELECT 1 FROM t", "CREATE sync_staging"),
        ("CREATE TABLE IF NOT EXISTS a (x INT)", "CREATE a"),
        ("ALTER TABLE `sync_runs` ADD COLUMN a INT", "ALTER sync_runs"),
        ("COMMIT", "COMMIT"),
        ("", ""),
    ],
)
def test_a_statement_is_told_by_its_kind_and_table(sql: str, told: str) -> None:
    assert statement_of(sql) == told
