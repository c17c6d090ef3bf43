"""What the columns of the targets are called in other languages: proposed where a mapping is missing, never taken.

Words stand in the form in which names are compared (no case, accents, spaces), the surest first. Columns that take only some
values (types, switches), and those that make a row's identity, are left to the person who knows them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_SONGS: Final = {
    "title": (
        *(
            "titulo",
            "titel",
            "titre",
            "titolo",
            "tituloobra",
            "cancion",
            "canciones",
            "song",
            "songtitle",
            "songname",
            "track",
        ),
        *(
            "tracktitle",
            "trackname",
            "pista",
            "tema",
            "musica",
            "morceau",
            "chanson",
            "canzone",
            "lied",
            "pelicula",
            "film",
        ),
        *("movie", "juego", "game", "video", "nombre", "nome", "nom", "name", "obra"),
    ),
    "artist": (
        *(
            "artista",
            "artistas",
            "artists",
            "artiste",
            "interprete",
            "interpretes",
            "cantante",
            "cantor",
            "singer",
            "kunstler",
        ),
        *("interpret", "performer", "band", "banda", "grupo", "group", "autor", "author", "autore", "auteur"),
    ),
    "genre": (
        "genero",
        "generos",
        "genres",
        "genere",
        "gattung",
        "estilo",
        "style",
        "stil",
        "categoria",
        "category",
        "kind",
    ),
}
_CATALOG: Final = {
    "category_id": ("categoria", "categoriaid", "idcategoria", "category", "categorie", "kategorie", "rubro", "linea"),
    "capacity": ("capacidad", "capacidade", "capacite", "kapazitat", "capacita", "tamano", "tamanho", "size"),
    "capacity_gb": (
        *("capacidadgb", "capacidadengb", "capacidadegb", "capacidad(gb)", "capacity(gb)", "gb", "gigas", "gigabytes"),
        *("tamanogb", "sizegb"),
    ),
    "price": (
        *(
            "precio",
            "preco",
            "prix",
            "preis",
            "prezzo",
            "valor",
            "preciocop",
            "precioventa",
            "preciodeventa",
            "pvp",
            "cost",
        ),
        *("costo", "coste", "importe", "tarifa", "precio(cop)"),
    ),
    "content_count": (
        "cantidad",
        "quantidade",
        "quantite",
        "anzahl",
        "quantita",
        "numero",
        "conteo",
        "count",
        "quantity",
        "total",
    ),
    "content_unit": ("unidad", "unidades", "unidade", "unite", "einheit", "unita", "unit", "units", "contenido"),
    "min_price": ("preciominimo", "preciomin", "minprice", "precominimo"),
    "max_price": ("preciomaximo", "preciomax", "maxprice", "precomaximo"),
}

OTHER_NAMES: Final[Mapping[str, Mapping[str, tuple[str, ...]]]] = {
    "content_index": _SONGS,
    "catalog_items": _CATALOG,
}
