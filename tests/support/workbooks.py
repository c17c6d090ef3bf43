"""Writes small workbooks as spreadsheet programs do: .xlsx with shared texts and styles, .ods with typed cells."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final
from xml.sax.saxutils import escape, quoteattr

_MAIN: Final = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
_RELATION: Final = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_ODF: Final = "urn:oasis:names:tc:opendocument:xmlns"
ODS_TYPE: Final = "application/vnd.oasis.opendocument.spreadsheet"


def column_letters(index: int) -> str:
    """A, B and so on, for the first 26 columns."""
    return chr(65 + index)


def xlsx_row(number: int, cells: Sequence[str | None]) -> str:
    """A row of texts, written in place; a cell that begins with `<c` stands as it is."""
    parts = [
        cell
        if cell.startswith("<c")
        else f'<c r="{column_letters(index)}{number}" t="inlineStr"><is><t>{escape(cell)}</t></is></c>'
        for index, cell in enumerate(cells)
        if cell is not None
    ]
    return f'<row r="{number}">{"".join(parts)}</row>'


def write_xlsx(
    path: Path,
    sheets: Mapping[str, str],
    *,
    shared: Sequence[str] = (),
    formats: Sequence[tuple[int, str | None]] = (),
    properties: str = "",
    states: Mapping[str, str] | None = None,
) -> Path:
    """Write a workbook.

    Args:
        sheets: name to the XML of its rows.
        shared: XML of the shared texts, each inside of its <si>.
        formats: per cell format, after the plain one, its number and its code, if it has one of its own.
        properties: attributes of workbookPr.
        states: name of a sheet to hidden or veryHidden.
    """
    numbered = list(enumerate(sheets.items(), 1))
    listed = "".join(
        f'<sheet name={quoteattr(name)} sheetId="{n}" state="{(states or {}).get(name, "visible")}" r:id="rId{n}"/>'
        for n, (name, _rows) in numbered
    )
    codes = "".join(f'<numFmt numFmtId="{n}" formatCode={quoteattr(code)}/>' for n, code in formats if code is not None)
    styles = "".join(f'<xf numFmtId="{n}"/>' for n, _code in [(0, None), *formats])
    relations = "".join(
        f'<Relationship Id="rId{n}" Type="{_RELATION}/worksheet" Target="worksheets/sheet{n}.xml"/>'
        for n, _sheet in numbered
    )
    parts = {
        "[Content_Types].xml": "<Types/>",
        "xl/workbook.xml": f'<workbook {_MAIN} xmlns:r="{_RELATION}"><workbookPr {properties}/><sheets>{listed}</sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships>{relations}<Relationship Id="s" Type="{_RELATION}/styles" '
        f'Target="styles.xml"/><Relationship Id="t" Type="{_RELATION}/sharedStrings" Target="/xl/sharedStrings.xml"/></Relationships>',
        "xl/styles.xml": f'<styleSheet {_MAIN}><numFmts>{codes}</numFmts><cellStyleXfs><xf numFmtId="14"/></cellStyleXfs>'
        f"<cellXfs>{styles}</cellXfs></styleSheet>",
        "xl/sharedStrings.xml": f"<sst {_MAIN}>{''.join(f'<si>{text}</si>' for text in shared)}</sst>",
    }
    for n, (_name, rows) in numbered:
        parts[f"xl/worksheets/sheet{n}.xml"] = f"<worksheet {_MAIN}><sheetData>{rows}</sheetData></worksheet>"
    return write_parts(path, parts)


def ods_row(cells: Sequence[str | None], attributes: str = "") -> str:
    """A row of texts; a cell that begins with `<table:` stands as it is."""
    parts = [
        "<table:table-cell/>"
        if cell is None
        else cell
        if cell.startswith("<table:")
        else f'<table:table-cell office:value-type="string"><text:p>{escape(cell)}</text:p></table:table-cell>'
        for cell in cells
    ]
    return f"<table:table-row {attributes}>{''.join(parts)}</table:table-row>"


def write_ods(path: Path, sheets: Mapping[str, str], manifest: str = "") -> Path:
    """Write a spreadsheet; `sheets` is name to the XML of its rows."""
    tables = "".join(f"<table:table table:name={quoteattr(name)}>{rows}</table:table>" for name, rows in sheets.items())
    spaces = " ".join(f'xmlns:{name}="{_ODF}:{name}:1.0"' for name in ("office", "table", "text", "style"))
    content = (
        f'<office:document-content {spaces} xmlns:calcext="urn:org:documentfoundation:names:experimental:calc:xmlns:calcext:1.0">'
        f"<office:body><office:spreadsheet>{tables}</office:spreadsheet></office:body></office:document-content>"
    )
    return write_parts(
        path,
        {"mimetype": ODS_TYPE, "content.xml": content, "META-INF/manifest.xml": f"<manifest>{manifest}</manifest>"},
    )


def write_parts(path: Path, parts: Mapping[str, str]) -> Path:
    """Write a zip of texts."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in parts.items():
            archive.writestr(name, text)
    return path
