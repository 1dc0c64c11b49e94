"""A published JSON schema of a custom resource, cut down to what our manifests use.

    python -m tests.k8s.prune_schema FULL.json Kind > tests/k8s/schemas/Kind.json

What is left is strict: a field that the full schema does not know ends this program, and one that
it was not cut for fails the test, which says to run it again.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.k8s.rendering import FOLDERS, of_kind, rendered

_KEPT = ("type", "enum", "const", "pattern", "minimum", "maximum", "minLength", "maxLength")
Json = dict[str, object]


def prune(schema: Json, root: Json, values: Sequence[object]) -> Json:
    """Of `schema`, whose references are to `root`, what `values` touch."""
    schema = _plain(schema, root)
    found: Json = {key: schema[key] for key in _KEPT if key in schema}
    maps = [value for value in values if isinstance(value, dict)]
    lists = [value for value in values if isinstance(value, list)]
    if "anyOf" in schema:
        found["anyOf"] = [prune(_object(one), root, values) for one in _list(schema["anyOf"])]
    elif "properties" in schema:
        found |= _pruned_object(schema, root, maps)
    elif isinstance(every := schema.get("additionalProperties"), dict):
        inner = [item for value in maps for item in value.values()]
        found["additionalProperties"] = prune(every, root, inner)
    elif "items" in schema:
        inner = [item for value in lists for item in value]
        found["items"] = prune(_object(schema["items"]), root, inner)
    return found


def _pruned_object(schema: Json, root: Json, maps: Sequence[dict[str, object]]) -> Json:
    properties = _object(schema["properties"])
    used = sorted({key for value in maps for key in value})
    if unknown := [key for key in used if key not in properties]:
        sys.exit(f"the schema does not know {unknown} beside {sorted(properties)}")
    return {
        "properties": {
            key: prune(_object(properties[key]), root, [m[key] for m in maps if key in m])
            for key in used
        },
        "required": schema.get("required", []),
        "additionalProperties": False,
    }


def _plain(schema: Json, root: Json) -> Json:
    """Without references and without the choice of null, which no manifest of ours makes."""
    while True:
        if isinstance(ref := schema.get("$ref"), str):
            if ref.endswith("Quantity"):  # pydantic's model of it is not what is written
                return {"type": ["string", "number"]}
            target: object = root
            for step in ref.removeprefix("#/").split("/"):
                target = _object(target)[step.replace("%3C", "<").replace("%3E", ">")]
            schema = _object(target)
            continue
        choices = [one for one in _list(schema.get("anyOf", [])) if one != {"type": "null"}]
        if len(choices) != 1:
            return schema
        schema = _object(choices[0])


def _object(value: object) -> Json:
    assert isinstance(value, dict), value
    return value


def _list(value: object) -> list[object]:
    assert isinstance(value, list), value
    return value


def main() -> None:
    full = json.loads(Path(sys.argv[1]).read_text())
    everything = [one for folder in FOLDERS for one in rendered(folder)]
    documents = of_kind(everything, sys.argv[2])
    sys.stdout.write(json.dumps(prune(full, full, documents), indent=1) + "\n")


if __name__ == "__main__":
    main()
