"""Tensors behind the JSON: the binary extension of the Open Inference Protocol.

Triton's clients use it unless they are told not to.

The body is JSON of `Inference-Header-Content-Length` bytes and then, one after the other, the
tensors whose parameters say `binary_data_size`. A BYTES tensor is its elements, each after its
length: four bytes, little-endian.
"""

import struct
from collections.abc import Callable, Coroutine

from fastapi import Request, Response
from fastapi.routing import APIRoute

from service.errors import MalformedBody
from service.routes.shared.json_body import JsonRequest, read_json
from service.settings import MAX_CANDIDATES

HEADER_LENGTH = "Inference-Header-Content-Length"
_ELEMENT_LENGTH = struct.Struct("<I")

# FastAPI parses a body as JSON only under this header. Triton's clients send
# application/octet-stream, or nothing.
_JSON = (b"content-type", b"application/json")


class TensorRoute(APIRoute):
    """A route whose JSON body may have binary tensors behind it, under any content type."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[object, object, Response]]:
        handle = super().get_route_handler()

        async def read_tensors(request: Request) -> Response:
            others = [header for header in request.scope["headers"] if header[0] != _JSON[0]]
            scope = dict(request.scope) | {"headers": [*others, _JSON]}
            return await handle(_TensorRequest(scope, request.receive))

        return read_tensors


class _TensorRequest(JsonRequest):
    async def parse(self, content: bytes) -> object:
        length = self.headers.get(HEADER_LENGTH)
        if length is None:
            return await read_json(content)
        if not length.isdecimal() or int(length[:18]) > len(content):
            raise MalformedBody(f"{HEADER_LENGTH} must be the number of bytes of JSON in the body")
        end = int(length[:18])
        return with_binary(await read_json(content[:end]), content[end:])


def with_binary(request: object, tail: bytes) -> object:
    """Return the request as if the tensors behind it had come in its JSON.

    Raises:
        MalformedBody: the bytes are not what the JSON says.
    """
    start = 0
    # Nothing here is validated yet. A misshapen part is skipped, because the model of the body
    # says better what is wrong with it.
    inputs = request.get("inputs") if isinstance(request, dict) else None
    for tensor in inputs if isinstance(inputs, list) else ():
        parameters = tensor.get("parameters") if isinstance(tensor, dict) else None
        size = parameters.get("binary_data_size") if isinstance(parameters, dict) else None
        if isinstance(size, int) and size >= 0:
            if tensor.get("datatype") == "BYTES":
                tensor["data"] = unpack_texts(tail[start : start + size])
            start += size
    if start != len(tail):
        raise MalformedBody("the sum of binary_data_size must be the number of bytes after JSON")
    return request


def unpack_texts(packed: bytes) -> list[str]:
    """Return the elements of a BYTES tensor.

    Raises:
        MalformedBody: they are not as long as they say.
    """
    texts: list[str] = []
    end = 0
    while end < len(packed):
        start = end + _ELEMENT_LENGTH.size
        end = start + int.from_bytes(packed[end:start], "little")
        # Empty elements take four bytes each, so the number of elements needs a limit of its own.
        if end > len(packed) or len(texts) == MAX_CANDIDATES:
            raise MalformedBody("a BYTES tensor must be elements, each after its length, and few")
        # Bytes that are no UTF-8 become half surrogate pairs, which are that element's own error.
        texts.append(packed[start:end].decode(errors="surrogateescape"))
    return texts


def pack_floats(values: list[float]) -> bytes:
    """Return the values as an FP32 tensor."""
    return struct.pack(f"<{len(values)}f", *values)
