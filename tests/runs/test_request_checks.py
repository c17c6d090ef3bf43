"""What is refused of a request before anything is read."""

from __future__ import annotations

from dataclasses import replace

import pytest

from server.core.errors import InvalidRequestError
from server.runs.request_checks import check_mode
from server.targets.catalog_items import CATALOG_ITEMS


def test_a_mirror_of_a_table_whose_rows_cannot_be_switched_off_is_refused() -> None:
    check_mode(CATALOG_ITEMS, "mirror")
    without = replace(CATALOG_ITEMS, availability_column=None)
    check_mode(without, "upsert")
    with pytest.raises(InvalidRequestError, match="catalog_items has no column by which") as caught:
        check_mode(without, "mirror")
    assert (caught.value.reason, caught.value.field) == ("INVALID_OPTION", "options.mode")
