"""Fields that the imitated server reads and this one cannot honor: refused where they are set."""

from dataclasses import dataclass

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema


@dataclass(frozen=True)
class Refused:
    """Marks the type of a field that a request may only leave out, or set to what happens anyway.

    Args:
        reason: what the client needs to know, as the end of a sentence.
        harmless: values, besides null, that ask for nothing.
    """

    reason: str
    harmless: tuple[object, ...] = ()

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self._check)

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        allowed = [value for value in (None, *self.harmless) if value != {}]
        return {"enum": allowed, "description": f"Must be left out: {self.reason}."}

    def _check(self, value: object) -> object:
        # Types are compared too, because False equals 0.
        harmless = ((type(one), one) for one in (None, *self.harmless))
        if (type(value), value) not in harmless:
            raise ValueError(f"must be left out: {self.reason}")
        return value
