"""Server reflection as v1 and as v1alpha: grpcio brings v1alpha alone, and the messages of the two are the same bytes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool
from grpc_reflection.v1alpha import reflection, reflection_pb2, reflection_pb2_grpc

_ALPHA: Final = "grpc.reflection.v1alpha"
_V1: Final = "grpc.reflection.v1"


def add_reflection(server: grpc.aio.Server, names: Iterable[str]) -> None:
    """Let clients ask what the server has, in either version.

    Args:
        names: full names of the services to list, besides reflection itself.
    """
    _describe_v1()
    versions = (f"{_ALPHA}.ServerReflection", f"{_V1}.ServerReflection")
    servicer = reflection.aio.ReflectionServicer((*names, *versions))
    reflection_pb2_grpc.add_ServerReflectionServicer_to_server(servicer, server)
    handler = grpc.stream_stream_rpc_method_handler(
        servicer.ServerReflectionInfo,
        reflection_pb2.ServerReflectionRequest.FromString,
        reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    methods = {"ServerReflectionInfo": handler}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(f"{_V1}.ServerReflection", methods),))


def _describe_v1() -> None:
    """Put v1's own description beside that of v1alpha, so that a client finds every service that is listed."""
    file = descriptor_pb2.FileDescriptorProto()
    reflection_pb2.DESCRIPTOR.CopyToProto(file)
    file.name, file.package = file.name.replace("v1alpha", "v1"), _V1
    for message in file.message_type:
        for field in filter(lambda field: field.type_name, message.field):
            field.type_name = field.type_name.replace(_ALPHA, _V1)
    for method in file.service[0].method:
        method.input_type = method.input_type.replace(_ALPHA, _V1)
        method.output_type = method.output_type.replace(_ALPHA, _V1)
    descriptor_pool.Default().Add(file)
