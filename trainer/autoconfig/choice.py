"""A recipe whose open fields are being chosen, each with its reason."""

from dataclasses import dataclass, field

from trainer.pairs.split import HoldOut
from trainer.pipeline.recipe import Recipe
from trainer.planning.run import TrainingRun, training_run
from trainer.training.finetune import FinetuneConfig


@dataclass(frozen=True)
class Choice:
    """A field with its value and why, for the table."""

    name: str
    value: str
    why: str


@dataclass
class Choices:
    """A recipe, what was chosen of it so far, and what that is likely to take.

    Attributes:
        given: fields that the user has set, as `STAGE.FIELD`; they stay as they are.
        warnings: what the user should know before training.
        seconds: estimated time of each part.
    """

    recipe: Recipe
    given: frozenset[str]
    made: list[Choice] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def finetune(self) -> FinetuneConfig:
        config = self.recipe["finetune"].config
        assert isinstance(config, FinetuneConfig)
        return config

    @property
    def planned(self) -> TrainingRun:
        """The training as estimates know it."""
        run = training_run(self.finetune)
        assert run
        return run

    @property
    def hold_out(self) -> HoldOut:
        config = self.recipe["preferences"].config
        assert isinstance(config, HoldOut)
        return config

    def choose(self, path: str, value: object, shown: str, why: str) -> None:
        """Set a field, unless the user has, and keep the reason."""
        stage, name = path.split(".")
        if path in self.given:
            shown, why = f"{getattr(self.recipe[stage].config, name)}", "set by you"
        else:
            self.set(path, value)
        self.made.append(Choice(name, shown, why))

    def set(self, path: str, value: object) -> None:
        """Set a field without a word, unless the user has."""
        stage, name = path.split(".")
        if path not in self.given:
            self.recipe = self.recipe.changed(stage, **{name: value})
