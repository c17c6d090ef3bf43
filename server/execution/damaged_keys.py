"""Rows that seem to be gone while the source has them in a damaged form: a doubt for a mirror.

A row is known again by its key. Where the key is text that was decoded twice, whose characters were lost or escaped on the
way, or that became a word for no value, the source shows another row than the table has, and the one of the table looks gone.
So what is gone is compared with what was seen, damage aside. Rows that are alike without any damage are different rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from db.loaders.mirror import Looks, RowTexts, gone_texts, seen_texts
from db.records import LoadSpec
from server.core.tally import DAMAGE_CODES, Tally
from server.pipeline.odd_texts import NULL_WORDS
from server.pipeline.text_damage import is_damaged, undamaged

_GONE_ROWS_MAX: Final = 50_000
_NAMED_MAX: Final = 3
# Stands for a text that was lost as a whole.
_ANY: Final = None


async def damaged_keys_doubt(
    connection: AsyncConnection, spec: LoadSpec, looks: Looks, tally: Tally, columns: Sequence[str]
) -> str:
    """The rest of a sentence that says why rows which were not seen may be there; empty when nothing says so.

    Args:
        tally: of the whole reading: without a sign of damage in it nothing is compared.
        columns: the texts by which rows are known again; none where that is not told by texts.
    """
    if not columns or not any(tally.count(code) for code in DAMAGE_CODES):
        return ""
    gone = await gone_texts(connection, spec, looks, columns, _GONE_ROWS_MAX + 1)
    if len(gone) > _GONE_ROWS_MAX:
        return "some texts of the source are damaged, and these rows are too many to be compared with them"
    ids: dict[tuple[str | None, ...], int] = {}
    for target_id, texts in gone:
        for form in _forms(texts):
            ids.setdefault(form, target_id)
    pairs: dict[int, int] = {}
    async for page in seen_texts(connection, spec, looks, columns):
        for target_id, form in _damaged(page):
            if form in ids:
                pairs.setdefault(ids[form], target_id)
    if not pairs:
        return ""
    named = ", ".join(f"{gone_id} and {seen_id}" for gone_id, seen_id in list(pairs.items())[:_NAMED_MAX])
    return (
        f"at least {len(pairs)} of them look{'s' if len(pairs) == 1 else ''} like rows of the source whose texts are damaged "
        f"(ids in {spec.table}: {named})"
    )


def _forms(texts: tuple[str | None, ...]) -> Iterator[tuple[str | None, ...]]:
    """A row's texts without damage, and the same with each of them lost."""
    plain = tuple(undamaged(text or "") for text in texts)
    yield plain
    for at, text in enumerate(plain):
        if text and any(plain[:at] + plain[at + 1 :]):
            yield (*plain[:at], _ANY, *plain[at + 1 :])


def _damaged(page: Sequence[RowTexts]) -> Iterator[tuple[int, tuple[str | None, ...]]]:
    """The rows of a page that show damage, in the form of `_forms`."""
    for target_id, texts in page:
        lost = [text in NULL_WORDS for text in texts]
        if any(lost) or any(text and is_damaged(text) for text in texts):
            yield (
                target_id,
                tuple(_ANY if is_lost else undamaged(text or "") for text, is_lost in zip(texts, lost, strict=True)),
            )
