"""Declared number formats: what is stored of each way to write a number, and that both readings of a text agree.

The vectorised casts and `plain_number`, which tells of single texts, are compared with a reader that takes texts apart letter by
letter and uses no pattern.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.core.number_format import NumberFormat, NumberOptions
from server.core.reject_kinds import RejectKind
from server.pipeline.number_forms import BLANKS, plain_number
from server.pipeline.prepare import prepare
from server.targets.base import TargetColumn
from tests.pipeline.builders import by_format, make_batch, make_plan, make_target

PRICE = TargetColumn("v", "decimal", precision=20, scale=2)
COUNT = TargetColumn("v", "integer")
BAD, RANGE = RejectKind.BAD_CAST, RejectKind.OUT_OF_RANGE

PESOS, DOLLARS = by_format(",", ".", "$", "COP"), by_format(".", ",", "$", "US$", "USD")
EUROS, FRANCS = by_format(",", " ", "€"), by_format(".", "'", "CHF", "Fr.")
RUPEES, CODE = by_format(".", ",", "Rs", "Rs.", "₹"), by_format(".", "_")


def stored(column: TargetColumn, numbers: NumberOptions, text: str) -> str | RejectKind:
    plan = make_plan(make_target(TargetColumn("k", "text"), column), ["k", "v"], numbers=numbers)
    found = prepare(make_batch({"k": ["key"], "v": [text]}), plan)
    return found.rejects[0].kind if found.rejects else str(found.rows["v"][0])


@pytest.mark.parametrize(
    ("numbers", "text", "expected"),
    [
        (PESOS, "$ 69.900", "69900.00"),
        (PESOS, "$69.900", "69900.00"),
        (PESOS, "69.900 COP", "69900.00"),
        (PESOS, "$ 1.299.900,50 COP", "1299900.50"),
        (PESOS, "COP\u00a01.299.900,5", "1299900.50"),
        (PESOS, "  $      69900  ", "69900.00"),
        (PESOS, "-$ 5,50", "-5.50"),
        (PESOS, "$ -5,50", "-5.50"),
        (PESOS, "-$ -5,50", BAD),
        (PESOS, "$ 69,900", RANGE),
        (PESOS, "$ 69.90", BAD),
        (PESOS, "$ 0.900", BAD),
        (PESOS, "€ 69.900", BAD),
        (PESOS, "cop 69.900", BAD),
        (PESOS, "$$ 5", BAD),
        (PESOS, "5 $ COP", BAD),
        (PESOS, "$", BAD),
        (DOLLARS, "$1,299.90", "1299.90"),
        (DOLLARS, "US$ 1,299.90", "1299.90"),
        (DOLLARS, "1,299,000 USD", "1299000.00"),
        (DOLLARS, "$1,299.900", "1299.90"),
        (DOLLARS, "$129.900", RANGE),
        (DOLLARS, "$1299.", "1299.00"),
        (DOLLARS, ".50", "0.50"),
        (DOLLARS, "$.50", BAD),
        (DOLLARS, "1,00,000", BAD),
        (DOLLARS, "1,2999", BAD),
        (DOLLARS, "1299,900", BAD),
        (DOLLARS, ",900", BAD),
        (DOLLARS, "1,,299", BAD),
        (DOLLARS, "1,299.90-", BAD),
        (DOLLARS, "($1,299.90)", BAD),
        (DOLLARS, "5%", BAD),
        (EUROS, "1 299,90 €", "1299.90"),
        (EUROS, "1\u00a0299,90\u00a0€", "1299.90"),
        (EUROS, "1\u202f299\u202f000,90\u202f€", "1299000.90"),
        (EUROS, "1\u2009299€", "1299.00"),
        (EUROS, "1\t299", BAD),
        (EUROS, "1  299", BAD),
        (EUROS, "1 29", BAD),
        (EUROS, "1.299,90", BAD),
        (FRANCS, "1'299.90", "1299.90"),
        (FRANCS, "CHF 1\u2019299.90", "1299.90"),
        (FRANCS, "Fr.50", "50.00"),
        (FRANCS, "1'299.-", BAD),
        (RUPEES, "Rs. 1,299.90", "1299.90"),
        (RUPEES, "Rs.50", "50.00"),
        (RUPEES, "Rs50", "50.00"),
        (RUPEES, "₹1,00,000", BAD),
        (CODE, "1_299.90", "1299.90"),
        (CODE, "\uff11\uff12", BAD),
        (CODE, "٣", BAD),
    ],
)
def test_an_amount_is_stored_exactly_or_rejected(numbers: NumberOptions, text: str, expected: str) -> None:
    assert stored(PRICE, numbers, text) == expected


@pytest.mark.parametrize(
    ("numbers", "text", "expected"),
    [
        (PESOS, "3.000", "3000"),
        (PESOS, "3.000,00", "3000"),
        (PESOS, "3,000", BAD),
        (PESOS, "$ 3.000", BAD),
        (EUROS, "3\u202f000", "3000"),
        (FRANCS, "16.0", "16"),
        (DOLLARS, "-1,000", "-1000"),
    ],
)
def test_a_count_has_grouping_but_no_currency(numbers: NumberOptions, text: str, expected: str) -> None:
    assert stored(COUNT, numbers, text) == expected


def reference(text: str, wanted: NumberFormat, *, is_whole: bool) -> Decimal | None:
    """The number that a text is, by hand."""
    found = {
        -number if sign == "-" else number
        for sign, digits, is_money in _without_money(text, () if is_whole else wanted.currency)
        if (number := _number(digits, wanted, is_money=is_money)) is not None
    }
    assert len(found) < 2
    return None if not found or (is_whole and next(iter(found)) % 1) else next(iter(found))


def _without_money(text: str, currency: tuple[str, ...]) -> Iterator[tuple[str, str, bool]]:
    """Each way to take sign and currency off: the sign, what is left, and whether a currency stood before it."""
    for behind in ("", *currency):
        if not text.endswith(behind):
            continue
        rest = text.removesuffix(behind).rstrip(BLANKS) if behind else text
        sign = rest[:1] if rest[:1] in ("+", "-") else ""
        yield sign, rest[len(sign) :], False
        for before in currency:
            if rest[len(sign) :].startswith(before):
                inner = rest[len(sign) + len(before) :].lstrip(BLANKS)
                yield sign, inner, True
                if not sign and inner[:1] in ("+", "-"):
                    yield inner[0], inner[1:], True


def mark_of_millions(text: str, wanted: NumberFormat) -> bool:
    """Whether apostrophes alone group what stands before the mark and three digits behind it: 1'299.900."""
    whole, mark, fraction = text.partition(wanted.decimal)
    return (
        bool(mark)
        and len(fraction) == 3
        and fraction.isdigit()
        and {"'", "\u2019"} >= set(whole) - set("0123456789") != set()
    )


def _number(text: str, wanted: NumberFormat, *, is_money: bool) -> Decimal | None:
    if is_money and text[:1] not in tuple("0123456789"):
        return None
    if mark_of_millions(text, wanted):
        return None
    alike = {" ": "\u00a0\u2007\u2009\u202f", "'": "\u2019", ".": "'\u2019", ",": "'\u2019"}.get(wanted.grouping, "")
    text = "".join(wanted.grouping if char in alike else char for char in text)
    whole, mark, fraction = text.partition(wanted.decimal)
    groups = whole.split(wanted.grouping) if wanted.grouping else [whole]
    digits = "".join(groups)
    if any(char not in "0123456789" for char in digits + fraction) or not digits + fraction:
        return None
    if len(groups) > 1 and (
        not 1 <= len(groups[0]) <= 3 or groups[0][0] == "0" or any(len(group) != 3 for group in groups[1:])
    ):
        return None
    if mark and len(groups) == 1 and 1 <= len(whole) <= 3 and len(fraction) == 3:
        return None
    return Decimal(f"{digits or '0'}.{fraction or '0'}")


MARKS = [(d, g) for d in ".," for g in ("", ".", ",", " ", "'", "_") if d != g]
CURRENCIES = ["$", "US$", "COP", "Rs", "Rs.", "€", "kr.", "S/.", "R"]
FORMATS = st.builds(
    lambda marks, currency: NumberFormat(marks[0], marks[1], tuple(currency)),
    st.sampled_from(MARKS),
    st.lists(st.sampled_from(CURRENCIES), max_size=4, unique=True),
)
ANY = st.text(alphabet="0123456789.,'\u2019_ \u00a0\u202f+-$€RskrUCOP/.%E", max_size=14)


@st.composite
def written(draw: st.DrawFn) -> tuple[NumberFormat, str]:
    """A format, and a number written in it or almost so."""
    wanted = draw(FORMATS)
    pick = lambda *texts: draw(st.sampled_from(texts))  # noqa: E731
    whole = f"{draw(st.integers(0, 10**9)):,}".replace(",", pick(wanted.grouping, wanted.grouping, "", ".", ","))
    fraction = draw(st.from_regex(r"[0-9]{0,4}", fullmatch=True))
    number = whole + (wanted.decimal + fraction if pick(True, False) else "")
    currency = (*wanted.currency, "", "", *CURRENCIES[:1])
    gap = ("", " ", "\u00a0", "  ")
    text = pick("", "", "-", "+") + pick(*currency) + pick(*gap) + pick("", "", "", "-") + number
    text += pick(*gap) + pick(*currency)
    place = draw(st.integers(0, len(text)))
    return wanted, pick(text, text, text, text[:place] + text[place + 1 :], text[:place] + draw(ANY) + text[place:])


@given(written() | st.tuples(FORMATS, ANY))
def test_both_ways_to_read_a_number_agree_with_one_that_takes_it_apart(case: tuple[NumberFormat, str]) -> None:
    wanted, text = case[0], case[1].strip()
    numbers = NumberOptions(wanted, has_format=True)
    for column, is_whole in ((PRICE, False), (COUNT, True)):
        number = reference(text, wanted, is_whole=is_whole)
        plain = plain_number(text, wanted, is_whole=is_whole)
        assert (None if plain is None else Decimal(plain)) == number
        found = stored(column, numbers, text) if text else BAD
        if number is None:
            assert isinstance(found, RejectKind)
        elif not isinstance(found, RejectKind):
            assert Decimal(found) == number
        else:
            assert found == RANGE
            assert number != round(number, 2) or abs(number) >= 10**18
