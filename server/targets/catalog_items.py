"""catalog_items: what the bot sells, by category and capacity. Every change is logged in catalog_change_log."""

from server.targets.base import Target, TargetColumn

# Prices are Colombian pesos in decimal(10,2); counts are signed int.
_PRICE_MAX = "99999999.99"
_INT_MAX = "2147483647"

CATALOG_ITEMS = Target(
    name="catalog_items",
    columns=(
        TargetColumn("category_id", "text", length_max=50, required=True),
        TargetColumn("capacity", "text", length_max=20, required=True),
        TargetColumn("capacity_gb", "integer", required=True, minimum="0", maximum=_INT_MAX),
        TargetColumn("price", "decimal", precision=10, scale=2, required=True, minimum="0", maximum=_PRICE_MAX),
        TargetColumn("content_count", "integer", required=True, minimum="0", maximum=_INT_MAX),
        TargetColumn("content_unit", "text", length_max=50, required=True),
        TargetColumn("is_active", "boolean", default="1"),
        TargetColumn("is_popular", "boolean", default="0"),
        TargetColumn("is_recommended", "boolean", default="0"),
        TargetColumn("min_price", "decimal", precision=10, scale=2, minimum="0", maximum=_PRICE_MAX),
        TargetColumn("max_price", "decimal", precision=10, scale=2, minimum="0", maximum=_PRICE_MAX),
        TargetColumn("metadata", "json"),
    ),
    constants=(),
    key=("category_id", "capacity"),
    extras_column="metadata",
    availability_column="is_active",
    ordered=(("min_price", "price", "max_price"),),
    audited=True,
)
