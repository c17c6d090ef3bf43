"""The one list of target tables."""

from server.core.errors import InvalidRequestError
from server.core.reasons import Reason
from server.targets.base import Target
from server.targets.catalog_items import CATALOG_ITEMS
from server.targets.content_index import CONTENT_INDEX

TARGETS: dict[str, Target] = {target.name: target for target in (CONTENT_INDEX, CATALOG_ITEMS)}


def find_target(name: str) -> Target:
    """The target table of that name.

    Raises:
        InvalidRequestError: there is none.
    """
    found = TARGETS.get(name)
    if found is None:
        raise InvalidRequestError(
            Reason.INVALID_OPTION,
            f"targetTable must be one of {', '.join(sorted(TARGETS))}",
            field="options.targetTable",
        )
    return found
