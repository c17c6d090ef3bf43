"""What can be wrong with a record that is not loaded: the stable names that a run's errors list as their code."""

from __future__ import annotations

from enum import StrEnum


class RejectKind(StrEnum):
    """Why a record is not loaded, or what a person should know of a row that was (docs/guides)."""

    # The form of a CSV record.
    MISSING_COLUMNS = "missing_columns"
    TOO_MANY_COLUMNS = "too_many_columns"
    STRAY_QUOTE = "stray_quote"
    UNCLOSED_QUOTE = "unclosed_quote"
    REPEATED_HEADER = "repeated_header"
    STRAY_LINE_BREAK = "stray_line_break"
    RECORD_TOO_LONG = "record_too_long"
    HEADER_MISMATCH = "header_mismatch"
    BAD_ENCODING = "bad_encoding"
    # The form of an API's page or item.
    NOT_JSON = "not_json"
    NOT_CSV = "not_csv"
    NOT_AN_OBJECT = "not_an_object"
    NOT_A_NUMBER = "not_a_number"
    NO_ARRAY = "no_array"
    CUT_OFF = "cut_off"
    TOO_DEEP = "too_deep"
    TOO_LARGE = "too_large"
    # A cell of a workbook.
    CELL_ERROR = "cell_error"
    # Its values.
    BAD_CAST = "bad_cast"
    OUT_OF_RANGE = "out_of_range"
    TOO_LONG = "too_long"
    REQUIRED_MISSING = "required_missing"
    # Its key.
    DUPLICATE_KEY = "duplicate_key"
    KEY_COLLISION = "key_collision"
    # What the table reported of the row.
    NOT_STORABLE = "not_storable"
    REFUSED_BY_TABLE = "refused_by_table"
    ROW_TOO_LARGE = "row_too_large"
    CONFLICT = "conflict"
