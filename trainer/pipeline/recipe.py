"""A recipe: which stages run, in what order, each with its config."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

from trainer.pipeline.stage import Row, StageError

C = TypeVar("C", bound=Row)


@dataclass(frozen=True)
class Stage(Generic[C]):
    """A stage's function, and a config of the type that it takes."""

    run: Callable[[C, Path, Path], None]
    config: C


@dataclass(frozen=True)
class Recipe:
    """Stages by the name of the folder each writes, in the order in which they run.

    Each pair of function and config is checked where it is made; together they are of many types.
    """

    name: str
    stages: Mapping[str, Stage[Any]]

    def __getitem__(self, stage: str) -> Stage[Any]:
        """Raises StageError when the recipe has no such stage."""
        if stage not in self.stages:
            known = ", ".join(self.stages)
            raise StageError(f"{self.name} has no stage {stage}, but {known}")
        return self.stages[stage]

    def with_config(self, stage: str, config: Row) -> "Recipe":
        """The same with another config of the same type."""
        known = self[stage]
        assert type(config) is type(known.config)
        return replace(self, stages={**self.stages, stage: replace(known, config=config)})

    def changed(self, stage: str, **fields: object) -> "Recipe":
        """The same with some fields of a stage's config replaced."""
        return self.with_config(stage, replace(self[stage].config, **fields))

    def between(self, first: str | None, last: str | None) -> list[str]:
        """Names of the stages from `first` to `last`, both included; None is the end.

        Raises:
            StageError: there is no such stage, or they are the wrong way round.
        """
        names = list(self.stages)
        for name in filter(None, (first, last)):
            self[name]
        start = names.index(first) if first else 0
        end = names.index(last) + 1 if last else len(names)
        if start >= end:
            raise StageError(f"{first} comes after {last} in {self.name}: swap --from and --to")
        return names[start:end]
