"""Doc comments of the protos by the full name of what they stand above."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

import google.api
from google.protobuf import descriptor_pb2
from google.protobuf.descriptor import FieldDescriptor
from grpc_tools import protoc

PROTOS_DIR: Final = Path(__file__).parents[1] / "protos"
# The parts of a FileDescriptorProto that have names.
_NAMED: Final = {"message_type", "enum_type", "service", "field", "value", "method", "oneof_decl"}
_BEHAVIOUR: Final = re.compile(r"^(?:Output only|Input only|Required|Optional)\.\s*")


@cache
def comments() -> dict[str, str]:
    """Full name, such as `techaura.sync.v1.CsvOptions.delimiter`, to its comment: one line a paragraph, blank lines between."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "protos.bin")
        googleapis = Path(next(iter(google.api.__path__))).parents[1]
        names = sorted(str(path.relative_to(PROTOS_DIR)) for path in PROTOS_DIR.glob("techaura/**/*.proto"))
        # The well-known types come with the compiler.
        bundled = Path(protoc.__file__).parent / "_proto"
        includes = [f"-I{path}" for path in (PROTOS_DIR, googleapis, bundled)]
        command = ["protoc", *includes, f"--descriptor_set_out={out}", "--include_source_info", *names]
        if protoc.main(command):
            raise SystemExit("the protos cannot be read")
        files = descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes())
    found = {}
    for file in files.file:
        for location in file.source_code_info.location:
            name = _name_of(file, location.path)
            if name and location.leading_comments:
                found[f"{file.package}.{name}"] = _paragraphs(location.leading_comments)
    return found


def meaning(comment: str) -> str:
    """A field's comment without the word that says who sets it."""
    return _BEHAVIOUR.sub("", comment)


def described_field(field: FieldDescriptor) -> str:
    """The meaning of a field, with the fields of its file under their JSON names."""
    parent = field.containing_type
    messages = parent.file.message_types_by_name.values() if parent is not None else ()
    names = {part.name: part.json_name for message in messages for part in message.fields}
    text = meaning(comments()[field.full_name])
    return re.sub(r"`([a-z0-9_]+)`", lambda match: f"`{names.get(match[1], match[1])}`", text)


def one_line(text: str) -> str:
    """Paragraphs as one."""
    return " ".join(text.split())


def _name_of(file: descriptor_pb2.FileDescriptorProto, path: Sequence[int]) -> str:
    """The name, without the package, of what a path of a SourceCodeInfo leads to; empty for what has none."""
    if len(path) % 2:
        return ""
    names: list[str] = []
    part: Any = file
    for number, index in zip(path[::2], path[1::2], strict=True):
        kind = part.DESCRIPTOR.fields_by_number[number].name
        if kind not in _NAMED:
            return ""
        part = getattr(part, kind)[index]
        names.append(part.name)
    return ".".join(names)


def _paragraphs(comment: str) -> str:
    parts = re.split(r"\n[ ]*\n", comment.strip())
    return "\n\n".join(one_line(part) for part in parts)
