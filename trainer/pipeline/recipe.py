"""The type of a recipe: stages in the order in which they run, each with its config."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

from trainer.pipeline.stage import Dataclass, StageError

C = TypeVar("C", bound=Dataclass)


@runtime_checkable
class ReadsSplits(Protocol):
    """The config of a stage that cannot work without rows of certain splits."""

    def splits(self, stage: str) -> tuple[str, ...]:
        """The splits of this stage that must have rows."""
        ...


@dataclass(frozen=True)
class Stage(Generic[C]):
    """A stage's function and its config. The type parameter ties one to the other.

    Attributes:
        check: raises StageError when what a user has to bring for this stage is not there. It is
            called with config and work folder before the first stage of a run.
    """

    run: Callable[[C, Path, Path], None]
    config: C
    check: Callable[[C, Path], None] | None = None

    def splits(self, stage: str) -> tuple[str, ...]:
        """The splits of another stage without whose rows this one cannot work."""
        config: object = self.config
        return config.splits(stage) if isinstance(config, ReadsSplits) else ()


@dataclass(frozen=True)
class Recipe:
    """Stages by the name of the folder each writes, in the order in which they run.

    The types of function and config are checked where a `Stage` is written; a recipe mixes many.
    """

    name: str
    stages: Mapping[str, Stage[Any]]

    def __getitem__(self, stage: str) -> Stage[Any]:
        """Raises StageError when the recipe has no such stage."""
        if stage not in self.stages:
            nearest = get_close_matches(stage, self.stages, n=1)
            known = f"did you mean {nearest[0]}" if nearest else f"it has {', '.join(self.stages)}"
            raise StageError(f"the recipe {self.name} has no stage {stage}; {known}")
        return self.stages[stage]

    def with_config(self, stage: str, config: Dataclass) -> "Recipe":
        """A copy with another config, of the same type, for one stage."""
        known = self[stage]
        assert type(config) is type(known.config)
        return replace(self, stages={**self.stages, stage: replace(known, config=config)})

    def changed(self, stage: str, **fields: object) -> "Recipe":
        """A copy with some fields of one stage's config replaced."""
        return self.with_config(stage, replace(self[stage].config, **fields))

    def between(self, first: str | None, last: str | None) -> list[str]:
        """Names of the stages from `first` to `last`, both included; None means no bound.

        Raises:
            StageError: there is no such stage, or `first` comes after `last`.
        """
        names = list(self.stages)
        for name in filter(None, (first, last)):
            self[name]  # raises for an unknown stage
        start = names.index(first) if first else 0
        end = names.index(last) + 1 if last else len(names)
        if start >= end:
            raise StageError(f"{first} comes after {last} in {self.name}: swap --from and --to")
        return names[start:end]
