"""What a target table accepts, as data: the pipeline validates against it, the loaders write it, the docs list it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

ColumnKind = Literal["text", "integer", "decimal", "boolean", "timestamp", "json"]


@dataclass(frozen=True, slots=True)
class TargetColumn:
    """One column that a source may fill.

    Args:
        name: the column's name in the table.
        kind: how text is checked and written.
        length_max: characters (text) at most; None for no limit of our own.
        precision, scale: digits of a decimal, all and after the point.
        required: a row without a value is rejected, and a mapping without the column is refused.
        default: canonical text for a row without a value in a mapped column; None leaves it NULL.
        choices: the only values allowed; empty for any.
        minimum, maximum: inclusive bounds of an integer or a decimal, as text to stay exact; None for none.
    """

    name: str
    kind: ColumnKind
    length_max: int | None = None
    precision: int | None = None
    scale: int | None = None
    required: bool = False
    default: str | None = None
    choices: tuple[str, ...] = ()
    minimum: str | None = None
    maximum: str | None = None


@dataclass(frozen=True, slots=True)
class Target:
    """A table that rows are written to.

    Args:
        name: the table.
        columns: what a source may fill, in table order.
        constants: columns that the run fills itself, the same for every row (source_type and the like).
        key: the columns of the unique key by which a row is found again.
        content_key: columns that make a row's identity when `identity_column` is not mapped.
        identity_column: the key column that is made from `content_key` when unmapped; None when the key is natural.
        extras_column: json column that keeps the source columns that nothing else takes; None when there is none.
        availability_column: boolean that is switched off when a row leaves the source (mirror mode).
        synced_at_column: timestamp refreshed for every row still in the source; None when the table has none.
        ordered: groups of decimal columns that must not fall from left to right where they have values.
        audited: whether each change is written to catalog_change_log.
    """

    name: str
    columns: tuple[TargetColumn, ...]
    constants: tuple[str, ...]
    key: tuple[str, ...]
    content_key: tuple[str, ...] = ()
    identity_column: str | None = None
    extras_column: str | None = None
    availability_column: str | None = None
    synced_at_column: str | None = None
    ordered: tuple[tuple[str, ...], ...] = ()
    audited: bool = False

    def column(self, name: str) -> TargetColumn:
        """The column of that name.

        Raises:
            KeyError: there is none.
        """
        return self.by_name[name]

    @property
    def marked_columns(self) -> tuple[str, ...]:
        """Columns that a source may fill and that are no part of the key, in table order; see db/loaders/column_hashes.py."""
        return tuple(column.name for column in self.columns if column.name not in self.key)

    @property
    def by_name(self) -> Mapping[str, TargetColumn]:
        """Columns by name, in table order."""
        return {column.name: column for column in self.columns}
