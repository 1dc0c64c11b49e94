"""Triton's binary tensors."""

import struct

import pytest

from service.errors import MalformedBody
from service.routes.oip.tensors import pack_floats, unpack_texts, with_binary
from service.settings import MAX_CANDIDATES


def packed(*texts: str) -> bytes:
    encoded = [text.encode() for text in texts]
    return b"".join(struct.pack("<I", len(text)) + text for text in encoded)


def tensor(name: str, size: object, datatype: str = "BYTES") -> dict[str, object]:
    return {"name": name, "datatype": datatype, "parameters": {"binary_data_size": size}}


def test_texts_survive_packing() -> None:
    assert unpack_texts(packed("one", "", "caf\xe9")) == ["one", "", "caf\xe9"]
    assert unpack_texts(b"") == []


@pytest.mark.parametrize(
    "wrong",
    [b"\x01", b"\x05\x00\x00\x00four", packed("") * (MAX_CANDIDATES + 1)],
)
def test_bytes_that_are_no_texts_are_refused(wrong: bytes) -> None:
    with pytest.raises(MalformedBody):
        unpack_texts(wrong)


def test_tensors_take_their_bytes_in_order() -> None:
    one, two = packed("a"), packed("b", "c")
    request = {"inputs": [tensor("prompt", len(one)), tensor("response", len(two))]}
    with_binary(request, one + two)
    assert [each["data"] for each in request["inputs"]] == [["a"], ["b", "c"]]


@pytest.mark.parametrize("tail", [b"", packed("a") + b"x"])
def test_the_sizes_must_add_up(tail: bytes) -> None:
    with pytest.raises(MalformedBody, match="binary_data_size"):
        with_binary({"inputs": [tensor("prompt", len(packed("a")))]}, tail)


@pytest.mark.parametrize(
    "misshapen", [None, [], {"inputs": 3}, {"inputs": [3]}, {"inputs": [tensor("prompt", -1)]}]
)
def test_misshapen_requests_are_left_to_validation(misshapen: object) -> None:
    assert with_binary(misshapen, b"") == misshapen


def test_floats_are_little_endian() -> None:
    assert pack_floats([1.0, -2.0]) == bytes.fromhex("0000803f000000c0")
