from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.pipeline.json_text import NESTING_MAX, is_storable_json
from server.pipeline.prepare import prepare
from server.targets.base import TargetColumn
from tests.pipeline.builders import make_batch, make_plan, make_target

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


def nested(levels: int) -> str:
    return '{"a":[' * (levels // 2) + "[" * (levels % 2) + "]" * (levels % 2) + "]}" * (levels // 2)


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "[]",
        "3",
        '"x"',
        "null",
        '{"precio": 69900.00, "año": "2024"}',
        '["\\ud83c\\udfb5", "\\u0000", "[[[["]',
        "[1e308]",
        "9" * 308,
        "-0",
        nested(NESTING_MAX),
        '"' + "[" * 100 + '"',
        '["\\"' + "{" * 100 + '"]',
    ],
)
def test_json_that_the_databases_hold_is_kept(text: str) -> None:
    assert is_storable_json(text)


@pytest.mark.parametrize(
    "text",
    [
        "nope",
        "{'a': 1}",
        "{a: 1}",
        "[1,]",
        "[1] [2]",
        "1,2",
        "01",
        "[1.]",
        '{"a":1',
        '"a\tb"',
        "NaN",
        "[Infinity]",
        "-Infinity",
        "1e999",
        "9" * 309,
        '{"a":1,"a":2}',
        '[{"a":{"b":1,"b":1}}]',
        '"\\ud800"',
        '{"\\udfff":1}',
        '"\\udfb5\\ud83c"',
        nested(NESTING_MAX + 1),
        "[" * 200_000,
        "[" * 200_000 + "]" * 200_000,
        '{"a":' * 200_000,
    ],
    ids=lambda text: text[:20],
)
def test_json_that_a_database_would_refuse_or_alter_is_rejected(text: str) -> None:
    assert not is_storable_json(text)


@given(VALUES, st.booleans())
def test_whatever_an_encoder_writes_is_kept(value: object, ensure_ascii: bool) -> None:
    assert is_storable_json(json.dumps(value, ensure_ascii=ensure_ascii))


@given(st.text(alphabet='{}[]",:\\u0d8 1e.-ntrf\n', max_size=30))
def test_nothing_is_kept_that_the_standard_parser_refuses(text: str) -> None:
    try:
        json.loads(text)
    except ValueError:
        assert not is_storable_json(text)


def test_of_checked_texts_those_that_a_database_refuses_are_refused_all_the_same():
    column = TargetColumn("extra", "json")
    target = make_target(TargetColumn("title", "text"), column)
    deep, long = "[" * 32 + "]" * 32, "1" * 309
    batch = make_batch(
        {"title": list("abcdef"), "extra": ['{"a":1}', deep, f"[{long}]", None, "[[]]", "[" + "{}," * 40 + "{}]"]}
    )
    plan = make_plan(target, ["title", "extra"], checked_json=frozenset({"extra"}))
    prepared = prepare(batch, plan)
    assert [reject.column for reject in prepared.rejects] == ["extra", "extra"]
    assert list(prepared.rows["title"]) == ["a", "d", "e", "f"]
