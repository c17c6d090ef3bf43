"""Which names of a header are certainly single ones, and not two that ran together where a delimiter was lost."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from server.core.texts import folded
from server.sources.csv.options import CsvOptions
from server.targets.other_names import OTHER_NAMES
from server.targets.registry import find_target

# A word of one case that is as short as `note` or `album`.
_SHORT: Final = re.compile(r"[^\W\d_A-Z]{1,5}|[A-Z]{1,5}")


def are_single_names(names: Sequence[str], options: CsvOptions) -> bool:
    """Whether no two names of a header can have run together: most are known, and the others too short for that.

    Known are the columns of the target, what the request maps, and what such columns are called in other languages.
    """
    target = find_target(options.target_table)
    wanted = [column.name for column in target.columns] + list(options.column_mapping.values())
    wanted += [name for aliases in options.column_aliases.values() for name in aliases]
    wanted += [word for words in OTHER_NAMES.get(target.name, {}).values() for word in words]
    known = {folded(name) for name in wanted}
    others = [name.strip() for name in names if folded(name) not in known]
    return 2 * len(others) < len(names) and all(_SHORT.fullmatch(name) for name in others)
