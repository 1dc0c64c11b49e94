"""Descriptions of the server and its models, in the Open Inference Protocol and by Triton."""

from typing import Literal

from pydantic import BaseModel

from service.routes.oip.shapes import INPUTS

# Some of Triton's clients take versions for whole numbers, which the versions of releases are not.
ONLY_VERSION: Literal["1"] = "1"


class ServerMetadata(BaseModel):
    name: Literal["codepmp"] = "codepmp"
    version: str
    extensions: list[str] = ["binary_tensor_data", "model_configuration", "model_repository"]


class Live(BaseModel):
    live: Literal[True] = True


class Ready(BaseModel):
    ready: bool


class ModelReady(BaseModel):
    name: str
    ready: bool


class TensorMetadata(BaseModel):
    name: str
    datatype: Literal["BYTES", "FP32"]
    shape: list[int] = [-1, 1]


class ModelMetadata(BaseModel):
    name: str
    versions: list[str]
    platform: Literal["codepmp"] = "codepmp"
    inputs: list[TensorMetadata] = [TensorMetadata(name=name, datatype="BYTES") for name in INPUTS]
    outputs: list[TensorMetadata] = [TensorMetadata(name="rewards", datatype="FP32")]


class TensorConfig(BaseModel):
    name: str
    data_type: Literal["TYPE_STRING", "TYPE_FP32"]
    dims: list[int] = [1]
    optional: bool = False


class ModelConfig(BaseModel):
    """Triton's description of a model. Its `dims` leave the batch dimension out."""

    name: str
    platform: Literal[""] = ""  # Triton's configuration names a platform or a backend, not both.
    backend: Literal["codepmp"] = "codepmp"
    max_batch_size: int
    input: list[TensorConfig] = [
        TensorConfig(name=name, data_type="TYPE_STRING", optional=True) for name in INPUTS
    ]
    output: list[TensorConfig] = [TensorConfig(name="rewards", data_type="TYPE_FP32")]


class IndexEntry(BaseModel):
    name: str
    version: Literal["1"] = ONLY_VERSION
    state: Literal["READY", "LOADING"]
    reason: str
