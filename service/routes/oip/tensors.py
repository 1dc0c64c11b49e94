"""Tensors outside of JSON: the binary extension of the Open Inference Protocol, which Triton's
clients use unless they are told not to.

The body is JSON of `Inference-Header-Content-Length` bytes and then, one after the other, the
tensors whose parameters say `binary_data_size`. A BYTES tensor is its elements, each after its
length: four bytes, little-endian.
"""

import struct
from collections.abc import Callable, Coroutine, Iterator

from fastapi import Request, Response
from fastapi.routing import APIRoute

from service.errors import MalformedBody
from service.routes.shared.json_body import read_json
from service.settings import MOST_CANDIDATES

HEADER_LENGTH = "Inference-Header-Content-Length"
_ELEMENT_LENGTH = struct.Struct("<I")
_JSON = (b"content-type", b"application/json")


class TensorRoute(APIRoute):
    """A route whose JSON body may have its tensors behind it, whatever type it says it has."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[object, object, Response]]:
        handle = super().get_route_handler()

        async def read_tensors(request: Request) -> Response:
            others = [header for header in request.scope["headers"] if header[0] != _JSON[0]]
            scope = dict(request.scope) | {"headers": [*others, _JSON]}
            return await handle(_TensorRequest(scope, request.receive))

        return read_tensors


class _TensorRequest(Request):
    async def json(self) -> object:
        body = await self.body()
        length = self.headers.get(HEADER_LENGTH)
        if length is None:
            return read_json(body)
        if not length.isdecimal() or int(length[:18]) > len(body):
            raise MalformedBody(f"{HEADER_LENGTH} must be the number of bytes of JSON in the body")
        end = int(length[:18])
        return with_binary(read_json(body[:end]), body[end:])


def with_binary(request: object, tail: bytes) -> object:
    """The request as if the tensors behind it had come in its JSON.

    Raises:
        MalformedBody: the bytes are not what the JSON says.
    """
    at = 0
    for tensor, size in _sized(request):
        if tensor.get("datatype") == "BYTES":
            tensor["data"] = list(_texts(tail[at : at + size]))
        at += size
    if at != len(tail):
        raise MalformedBody("the sum of binary_data_size must be the number of bytes after JSON")
    return request


def pack_floats(values: list[float]) -> bytes:
    """An FP32 tensor."""
    return struct.pack(f"<{len(values)}f", *values)


def _sized(request: object) -> Iterator[tuple[dict[str, object], int]]:
    """Inputs that have their data behind the JSON, and its bytes. What is misshapen is let pass:
    the body's own model says what is wrong with it."""
    inputs = request.get("inputs") if isinstance(request, dict) else None
    for tensor in inputs if isinstance(inputs, list) else ():
        parameters = tensor.get("parameters") if isinstance(tensor, dict) else None
        size = parameters.get("binary_data_size") if isinstance(parameters, dict) else None
        if isinstance(size, int) and size >= 0:
            yield tensor, size


def _texts(packed: bytes) -> Iterator[str]:
    at, count = 0, 0
    while at < len(packed):
        start = at + _ELEMENT_LENGTH.size
        at = start + int.from_bytes(packed[at:start], "little")
        count += 1
        if at > len(packed) or count > MOST_CANDIDATES:
            raise MalformedBody("a BYTES tensor must be elements, each after its length, and few")
        try:
            yield packed[start:at].decode()
        except UnicodeDecodeError:
            raise MalformedBody("a BYTES tensor must hold text in UTF-8") from None
