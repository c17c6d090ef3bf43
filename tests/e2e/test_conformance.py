"""/openapi.json against the running program, and against the models that check options: one says what the other does."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from server.sources.api.pagination_options import Pagination
from server.sources.csv.options import CsvOptions
from tests.support.openapi import component, followed

PROJECT = Path(__file__).parents[2]
LIMITS = ("minLength", "maxLength", "minimum", "maximum", "minItems", "maxItems", "maxProperties", "enum")
CASES_MIN = 300


def test_the_program_answers_what_its_document_says() -> None:
    """A share of the cases, with a fixed seed; `scripts/conformance` runs them all."""
    done = subprocess.run(
        [PROJECT / "scripts" / "conformance", "--quick"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    passed = re.search(r"(\d+) generated, (\d+) passed", done.stdout)
    assert passed is not None, done.stdout[-2000:]
    assert int(passed[1]) == int(passed[2]) > CASES_MIN


def limits(schema: dict[str, Any]) -> dict[str, Any]:
    """The limits of an option, whatever stands around them for null."""
    present = followed(schema)
    return {name: present[name] for name in LIMITS if name in present}


@pytest.mark.parametrize(
    ("model", "documented"),
    [(CsvOptions, component("CsvOptions")), (Pagination, component("ApiPagination"))],
)
def test_the_documents_limits_are_those_of_the_model(model: type[BaseModel], documented: dict[str, Any]) -> None:
    checked = model.model_json_schema(by_alias=True)["properties"]
    assert set(checked) == set(documented["properties"])
    for name, schema in documented["properties"].items():
        wanted = limits(checked[name])
        if name == "targetTable" or name.endswith(("Param", "Path", "Header")):
            # The model takes what the tables, or a grammar, judge later.
            wanted = {}
        assert {limit: limits(schema).get(limit) for limit in wanted} == wanted, name
