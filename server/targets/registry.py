"""The one list of target tables."""

from server.targets.base import Target
from server.targets.catalog_items import CATALOG_ITEMS
from server.targets.content_index import CONTENT_INDEX

TARGETS: dict[str, Target] = {target.name: target for target in (CONTENT_INDEX, CATALOG_ITEMS)}
