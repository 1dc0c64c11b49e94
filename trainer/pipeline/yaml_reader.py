"""Reads YAML as plain data that remembers its lines.

No tag is followed, so that no file constructs an object. Scalars without quotes become
`PlainScalar`: what they mean is decided where the type of their field is known.
"""

from dataclasses import dataclass, field
from pathlib import Path

import yaml

from trainer.pipeline.field_values import Place, PlainScalar
from trainer.pipeline.stage import StageError

MAX_NODES = 100_000
"""Aliases can make a small file of any size; no recipe has so many values."""

_TAGS = {"map", "seq", "str"}  # what a BaseLoader gives to everything that has no tag of its own


_PLAINLY = {
    "'\\t'": "a tab cannot indent in YAML: use spaces",
    "expected a single document": "a second document begins here: a recipe is one, without ---",
    "expected <block end>": "this line is indented unlike those above it",
    "mapping values are not allowed here": "a second `: ` in one line: begin a line, or use quotes",
}
"""What PyYAML's messages mean."""


@dataclass(frozen=True)
class YamlFile:
    """The data of a file, and the line of each value."""

    file: Path
    data: object
    lines: dict[Place, int]

    def mistake(self, place: Place, message: str) -> StageError:
        """An error that names file, line, and the keys that lead to the value."""
        known = place
        while known not in self.lines:
            known = known[:-1]
        path = ".".join(map(str, place))
        where = f"{self.file}, line {self.lines[known]}"
        return StageError(f"{where}: {path}: {message}" if path else f"{where}: {message}")


def read_yaml(file: Path) -> YamlFile:
    """Read a file of one document.

    Raises:
        StageError: the file cannot be read or is not such YAML; the message has the line.
    """
    try:
        text = file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise StageError(f"{file} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise StageError(f"{file} is not text in UTF-8: save it as such") from error
    try:
        root = yaml.compose(text, yaml.BaseLoader)
        if root is None:
            raise StageError(f"{file} is empty: begin with `extends: NAME`, the name of a recipe")
        reading = _Reading(file)
        return YamlFile(file, reading.value(root, ()), reading.lines)
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        message = f"the character {error.character!r} is not allowed in YAML"
        raise StageError(f"{file}, line {line}: {message}; write it as an escape") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        message = error.problem or "this is not YAML"
        told = f"{error.context} {error.problem}"
        message = next((plainly for part, plainly in _PLAINLY.items() if part in told), message)
        raise StageError(f"{file}, line {line}: {message}") from error
    except RecursionError as error:
        raise StageError(f"{file}: lists or mappings are nested too deeply") from error


@dataclass
class _Reading:
    """Builds the data of a composed document."""

    file: Path
    lines: dict[Place, int] = field(default_factory=dict)
    _inside: set[int] = field(default_factory=set)
    _nodes: int = 0

    def value(self, node: yaml.Node, place: Place) -> object:
        self.lines.setdefault(place, node.start_mark.line + 1)
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise self._error(node, f"with its aliases the file has over {MAX_NODES} values")
        if node.tag.rpartition(":")[2] not in _TAGS:
            raise self._error(node, f"the tag {node.tag} is not followed: remove it")
        if isinstance(node, yaml.ScalarNode):
            return PlainScalar(node.value) if node.style is None else node.value
        if id(node) in self._inside:
            raise self._error(node, "an alias stands inside of what it names")
        self._inside.add(id(node))
        data = self._children(node, place)
        self._inside.remove(id(node))
        return data

    def _children(self, node: yaml.Node, place: Place) -> object:
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item, (*place, index)) for index, item in enumerate(node.value)]
        data: dict[str, object] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise self._error(key, "a key is a name, and not a list or a mapping")
            if key.value == "<<" and key.style is None:
                raise self._error(key, "<< is not followed: name the recipe to change in `extends`")
            if key.value in data:
                raise self._error(key, f"{key.value} is here a second time: keep one of them")
            self.lines[*place, key.value] = key.start_mark.line + 1
            data[key.value] = self.value(value, (*place, key.value))
        return data

    def _error(self, node: yaml.Node, message: str) -> StageError:
        return StageError(f"{self.file}, line {node.start_mark.line + 1}: {message}")
