from __future__ import annotations

from typing import Any

import pytest

from server.core.errors import InvalidRequestError
from server.core.texts import folded, listed
from server.pipeline.mapping import plan_mapping
from server.sources.csv.column_names import unique_names
from server.targets.base import Target, TargetColumn
from server.targets.catalog_items import CATALOG_ITEMS
from server.targets.content_index import CONTENT_INDEX
from tests.pipeline.builders import SOURCE, by_comma, make_plan, make_target

CATALOG_COLUMNS = ("category_id", "capacity", "capacity_gb", "price", "content_count", "content_unit")


def refused(columns: tuple[str, ...], requested: dict[str, str]) -> InvalidRequestError:
    with pytest.raises(InvalidRequestError) as caught:
        plan_mapping(CONTENT_INDEX, columns, requested, SOURCE)
    assert caught.value.reason == "INVALID_MAPPING"
    assert caught.value.field == "options.columnMapping"
    return caught.value


def test_columns_of_the_same_name_are_mapped_without_a_request() -> None:
    plan = make_plan(CONTENT_INDEX, ["artist", "title", "genre"])
    assert plan.source_columns == {"title": "title", "artist": "artist", "genre": "genre"}


def test_source_columns_stand_in_target_order_whatever_their_place_in_the_source() -> None:
    plan = make_plan(CONTENT_INDEX, ["genre", "title", "artist"])
    assert list(plan.source_columns) == ["title", "artist", "genre"]


def test_a_request_wins_over_the_column_of_the_same_name() -> None:
    plan = make_plan(CONTENT_INDEX, ["title", "song"], requested={"title": "song"})
    assert plan.source_columns["title"] == "song"


def test_one_source_column_may_fill_two_target_columns() -> None:
    plan = make_plan(CONTENT_INDEX, ["title"], requested={"external_id": "title"})
    assert plan.source_columns == {"title": "title", "external_id": "title"}


@pytest.mark.parametrize("asked", ["Song Name", "SONG NAME", " song name ", "song_name", "Sóng Náme", "songname"])
def test_a_source_column_is_found_without_regard_to_case_accents_spaces_and_underscores(asked: str) -> None:
    plan = make_plan(CONTENT_INDEX, ["Song Name"], requested={"TITLE": asked})
    assert plan.source_columns["title"] == "Song Name"


def test_a_header_with_a_decomposed_accent_matches_the_composed_one() -> None:
    plan = make_plan(CONTENT_INDEX, ["Cancio\u0301n"], requested={"title": "canci\u00f3n"})
    assert plan.source_columns["title"] == "Cancio\u0301n"


def test_an_exact_name_wins_over_one_that_differs_in_case() -> None:
    plan = make_plan(CONTENT_INDEX, ["Title", "title"], requested={"title": "Title"})
    assert plan.source_columns["title"] == "Title"
    assert plan.extra_columns == ("title",)


def test_a_name_that_fits_two_columns_is_refused() -> None:
    error = refused(("Title", "TITLE"), {})
    assert "ambiguous" in error.message
    assert "'Title', 'TITLE'" in error.message


def test_an_unknown_target_column_is_refused_with_those_there_are() -> None:
    error = refused(("title",), {"singer": "title"})
    assert "singer" in error.message
    assert "artist" in error.message


def test_a_column_that_the_run_fills_itself_cannot_be_mapped() -> None:
    assert "source_type" in refused(("title",), {"source_type": "title"}).message


def test_a_source_column_that_is_not_there_is_refused_with_those_there_are() -> None:
    error = refused(("title", "genre"), {"artist": "Singer"})
    assert "Singer" in error.message
    assert "'title', 'genre'" in error.message


def test_a_required_column_without_a_source_is_refused() -> None:
    error = refused(("artist", "genre"), {})
    assert "required column title" in error.message
    assert "'artist', 'genre'" in error.message


def test_a_target_column_mapped_twice_is_refused() -> None:
    assert "more than once" in refused(("a", "b"), {"title": "a", "Title": "b"}).message


def test_at_most_twenty_names_are_listed_and_long_ones_are_cut() -> None:
    error = refused(tuple(f"column {number:02}" for number in range(25)), {"title": "x"})
    assert "'column 19' and 5 more" in error.message
    assert "column 20" not in error.message
    assert listed(["y" * 200]) == repr("y" * 64 + "…")


def test_a_required_column_with_a_default_takes_it() -> None:
    assert make_plan(CONTENT_INDEX, ["title"]).constants["content_type"] == "music"


def test_a_constant_fills_a_required_column() -> None:
    plan = plan_mapping(CATALOG_ITEMS, CATALOG_COLUMNS[1:], {}, {"category_id": "music"})
    assert plan.constants == {"category_id": "music"}
    assert "category_id" not in plan.source_columns


def test_a_constant_that_is_none_of_the_choices_is_refused() -> None:
    with pytest.raises(InvalidRequestError) as caught:
        plan_mapping(CONTENT_INDEX, ["title"], {}, {**SOURCE, "content_type": "poem"})
    assert caught.value.reason == "INVALID_OPTION"
    assert "music, video" in caught.value.message


def test_a_constant_is_brought_to_the_form_of_its_choice() -> None:
    plan = plan_mapping(CONTENT_INDEX, ["title"], {}, {**SOURCE, "content_type": " Video "})
    assert plan.constants["content_type"] == "video"


def test_a_constant_of_no_column_is_a_fault_of_the_caller() -> None:
    with pytest.raises(ValueError, match="nowhere"):
        plan_mapping(CONTENT_INDEX, ["title"], {}, {"nowhere": "x"})


def test_an_alias_fills_a_column_that_nothing_else_fills() -> None:
    plan = make_plan(CONTENT_INDEX, ["Título", "Cantante"], aliases={"title": ("titulo",), "artist": ("cantante",)})
    assert plan.source_columns == {"title": "Título", "artist": "Cantante"}


def test_an_alias_takes_no_column_that_is_claimed_by_its_name() -> None:
    plan = make_plan(CONTENT_INDEX, ["title", "genre"], aliases={"artist": ("title", "genre")})
    assert "artist" not in plan.source_columns


def test_unused_source_columns_are_kept_as_extras_in_source_order() -> None:
    assert make_plan(CONTENT_INDEX, ["year", "title", "album"]).extra_columns == ("year", "album")


def test_no_extras_are_kept_when_the_extras_column_is_mapped() -> None:
    assert make_plan(CONTENT_INDEX, ["title", "metadata", "album"]).extra_columns == ()


def test_no_extras_are_kept_by_a_target_without_a_column_for_them() -> None:
    assert make_plan(make_target(TargetColumn("a", "text")), ["a", "b"]).extra_columns == ()


def test_the_identity_follows_from_the_mapping() -> None:
    assert make_plan(CONTENT_INDEX, ["title"]).identity == "content"
    assert make_plan(CONTENT_INDEX, ["title", "id"], requested={"external_id": "id"}).identity == "mapped"
    assert make_plan(CATALOG_ITEMS, CATALOG_COLUMNS).identity == "natural"
    assert make_plan(CONTENT_INDEX, ["title"], identity="row_number").identity == "row_number"


@pytest.mark.parametrize("asked", ["mapped", "natural"])
def test_an_identity_that_does_not_fit_the_mapping_is_a_fault_of_the_caller(asked: str) -> None:
    with pytest.raises(ValueError, match=asked):
        make_plan(CONTENT_INDEX, ["title"], identity=asked)


def test_plans_that_are_equal_have_equal_hashes() -> None:
    one, other = make_plan(CONTENT_INDEX, ["title", "x"]), make_plan(CONTENT_INDEX, ["title", "x"])
    assert one == other
    assert hash(one) == hash(other)
    assert one != make_plan(CONTENT_INDEX, ["title", "x"], numbers=by_comma(True))


def test_a_name_of_spacing_alone_matches_nothing() -> None:
    assert folded("_ _") == ""
    assert make_plan(make_target(TargetColumn("a", "text")), ["_", "__", "a"], aliases={}).source_columns == {"a": "a"}
    with pytest.raises(InvalidRequestError, match="no column"):
        plan_mapping(CONTENT_INDEX, ["title", "__"], {"artist": "_"}, SOURCE)


INVISIBLE = ["\u200b", "\ufeff", "\u00ad", "\u200d", "\u2060", "\u202e", "\u200f", "\ufe0f"]


@pytest.mark.parametrize("mark", INVISIBLE)
@pytest.mark.parametrize("target", [CONTENT_INDEX, CATALOG_ITEMS])
def test_names_are_compared_without_what_cannot_be_seen(target: Target, mark: str) -> None:
    wanted = [column.name for column in target.columns if column.required and column.default is None]
    for header in ([mark + name for name in wanted], [name[:2] + mark + name[2:].upper() + mark for name in wanted]):
        plan = make_plan(target, header)
        assert [plan.source_columns[name] for name in wanted] == header
        assert plan.extra_columns == ()


@pytest.mark.parametrize("mark", INVISIBLE)
def test_mappings_and_aliases_are_compared_so_too(mark: str) -> None:
    requested = make_plan(CONTENT_INDEX, [f"So{mark}ng", "x"], requested={f"{mark}title": f"song{mark}"})
    assert requested.source_columns == {"title": f"So{mark}ng"}
    aliases = {f"tit{mark}le": (f"{mark}canción",), "Artist": ("x",)}
    aliased = make_plan(CONTENT_INDEX, [f"Cancion{mark}", "X"], aliases=aliases)
    assert aliased.source_columns == {"title": f"Cancion{mark}", "artist": "X"}


def test_names_that_only_look_alike_are_told_with_what_cannot_be_seen() -> None:
    error = refused(("T\u200bitle", "Ti\u200btle"), {})
    assert "'T\\u200bitle', 'Ti\\u200btle'" in error.message
    assert "\u200b" not in error.message


def test_names_from_outside_are_quoted_and_escaped() -> None:
    error = refused(("\x1b[31mtit\x1b[0mle", "a, b", "\x07\x7f\x9b"), {"title": "\x1b]0;x\x07"})
    assert r"'\x1b]0;x\x07'" in error.message
    assert r"'\x1b[31mtit\x1b[0mle', 'a, b', '\x07\x7f\x9b'" in error.message
    assert error.message.isprintable()


def test_columns_that_meet_nothing_are_told_with_all_their_names() -> None:
    (notice,) = make_plan(CONTENT_INDEX, ["title", "Artista", "Género"]).notices
    assert "'artist', 'genre' of content_index are filled from no column" in notice
    assert "'Artista', 'Género' of the source are taken by none, and kept in metadata" in notice
    assert "set options.columnMapping.artist" in notice
    many = [f"c{number}" for number in range(60)]
    (notice,) = make_plan(CATALOG_ITEMS, [*CATALOG_COLUMNS, *many], requested={"metadata": "c0"}).notices
    assert "'min_price', 'max_price' of catalog_items are filled from no column" in notice
    assert [name for name in many[1:] if repr(name) not in notice] == []
    assert "'c0'" not in notice
    assert "are taken by none, and kept nowhere;" in notice


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        (["title", "artist", "genre", "metadata", "album"], "'album' of the source is taken"),
        (["title", "artist", "genre", "Metadata", "a", "b"], "'a', 'b' of the source are taken"),
        (["title", "artist", "genre", "metadata"], ""),
        (["title", "artist", "genre", "album"], ""),
    ],
)
def test_columns_that_are_kept_nowhere_are_told(columns: list[str], told: str) -> None:
    notices = make_plan(CONTENT_INDEX, columns).notices
    assert [notice.partition(" by no")[0] for notice in notices] == [told] * bool(told)
    assert all("kept nowhere, because" in notice for notice in notices)


@pytest.mark.parametrize(
    ("columns", "changes"),
    [
        (["title"], {}),
        (["title", "artist", "genre", "year"], {}),
        (["title", "Artista", "Género"], {"requested": {"artist": "Artista", "genre": "Género"}}),
        (["title", "Artista", "Género"], {"aliases": {"artist": ("artista",), "genre": ("genero",)}}),
        (["title", "artist", "genre", "content_type", "external_id"], {}),
    ],
)
def test_a_mapping_that_leaves_nothing_open_or_nothing_over_has_no_notice(
    columns: list[str], changes: dict[str, Any]
) -> None:
    assert make_plan(CONTENT_INDEX, columns, **changes).notices == ()


def test_a_name_that_stands_twice_is_told_by_that_name() -> None:
    plan = make_plan(CONTENT_INDEX, unique_names(["title", "artist", "genre", "genre", "x", "x", "x"]))
    genre, other, unfilled = plan.notices
    assert (
        "'genre' stands twice in the header (columns 3 and 4, called 'genre_1', 'genre_2') and fills nothing" in genre
    )
    assert "'x' stands 3 times in the header (columns 5, 6 and 7" in other
    assert "'genre' of content_index is filled from no column" in unfilled


def test_a_name_that_stands_twice_is_not_told_once_one_of_its_columns_is_mapped() -> None:
    columns = unique_names(["title", "artist", "genre", "genre"])
    plan = make_plan(CONTENT_INDEX, columns, requested={"genre": "genre_2"})
    assert (plan.source_columns["genre"], plan.notices) == ("genre_2", ())


@pytest.mark.parametrize(
    ("header", "requested"),
    [
        (["artist", "title", "title"], {}),
        (["artist", "Tit\u200ble", "Title\ufeff"], {}),
        (["artist", "title", "title"], {"title": "title"}),
        (["artist", "Title", "Title"], {"title": "TITLE"}),
    ],
)
def test_a_required_column_whose_name_stands_twice_is_refused_by_that_name(
    header: list[str], requested: dict[str, str]
) -> None:
    error = refused(unique_names(header), requested)
    name = header[1].replace("\u200b", "")
    assert f"{name!r} stands twice in the header (columns 2 and 3, called '{name}_1', '{name}_2')" in error.message
    assert "set options.columnMapping.title to one of them" in error.message
