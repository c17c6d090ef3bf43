"""Small applications of frameworks that others wrote, as ASGI apps: Django REST framework's pagers, and Strawberry's Relay lists."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import django
import strawberry
from django.conf import settings
from strawberry import relay
from strawberry.asgi import GraphQL


def rest_framework(folder: Path, count: int) -> Any:
    """Songs in an SQLite table behind `/page`, `/offset` and `/cursor`, each with another of the framework's pagers.

    Once a process: Django has one set of settings.
    """
    settings.configure(
        SECRET_KEY="none",
        ALLOWED_HOSTS=["*"],
        ROOT_URLCONF=__name__,
        INSTALLED_APPS=["rest_framework"],
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": folder / "songs.db"}},
        REST_FRAMEWORK={
            "UNAUTHENTICATED_USER": None,
            "DEFAULT_AUTHENTICATION_CLASSES": [],
            "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
        },
        USE_TZ=True,
        LOGGING_CONFIG=None,
    )
    django.setup()
    from django.core.asgi import get_asgi_application
    from django.db import connection, models
    from django.urls import path
    from rest_framework import generics, pagination, serializers

    class Song(models.Model):  # noqa: DJ008 - nobody reads it as text
        title = models.CharField(max_length=100)
        artist = models.CharField(max_length=100)

        class Meta:
            app_label = "songs"

    class SongSerializer(serializers.ModelSerializer):
        class Meta:
            model = Song
            fields = ("id", "title", "artist")

    def view(pager: type, **changes: Any) -> Any:
        paging = type(pager.__name__, (pager,), changes)
        found = {
            "queryset": Song.objects.order_by("id"),
            "serializer_class": SongSerializer,
            "pagination_class": paging,
        }
        made: Any = type("SongList", (generics.ListAPIView,), found)
        return made.as_view()

    with connection.schema_editor() as schema:
        schema.create_model(Song)
    Song.objects.bulk_create(Song(id=n, title=f"Song {n}", artist="Maná") for n in range(1, count + 1))
    globals()["urlpatterns"] = [
        path("page", view(pagination.PageNumberPagination, page_size=40)),
        path("offset", view(pagination.LimitOffsetPagination, default_limit=40)),
        path("cursor", view(pagination.CursorPagination, page_size=40, ordering="id")),
    ]
    return get_asgi_application()


# What Strawberry serves: it resolves annotations by the names of the module.
_numbers: list[int] = []


@strawberry.type(name="Song")
class RelaySong(relay.Node):
    """A node of the list."""

    number: relay.NodeID[int]
    title: str
    artist: str


@strawberry.type
class Query:
    """The root."""

    @relay.connection(relay.ListConnection[RelaySong])
    def songs(self) -> Iterable[RelaySong]:
        """All of them."""
        return [RelaySong(number=n, title=f"Song {n}", artist="Maná") for n in _numbers]


def strawberry_relay(count: int) -> Any:
    """A list `songs` with Relay's pagination, at most a hundred at once."""
    _numbers[:] = range(1, count + 1)
    return GraphQL(strawberry.Schema(query=Query))
