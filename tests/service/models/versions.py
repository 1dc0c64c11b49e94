"""Releases `1`, `2`, ... of a fake model; the score of a text is its tokens plus 1000 a version."""

from dataclasses import replace

from reward_model.packing import Sequence
from reward_model.release.release import ReleaseError
from service.engines.engine import EngineDead
from service.scoring.model import Model
from service.settings import Settings
from tests.service.fakes import FakeEngine, model


class VersionEngine(FakeEngine):
    def __init__(self, version: int) -> None:
        super().__init__()
        self.version = version
        self.dead = False

    def score(self, batch: list[Sequence]) -> list[list[float]]:
        if self.dead:
            raise EngineDead("Its process ended.")
        return [[1000.0 * self.version + one for one in row] for row in super().score(batch)]


class Releases:
    """Opens what the settings name: `2`, or `other-2` for a model of another name.

    Args:
        special: the engines of some of them, by what the settings name.
    """

    def __init__(self, special: dict[str, FakeEngine] | None = None) -> None:
        self.engines: dict[str, VersionEngine] = {}
        self._special = special or {}

    def __call__(self, settings: Settings) -> Model:
        name, _, version = settings.model.rpartition("-")
        if not version.isdecimal():
            raise ReleaseError(f"{version}/config.json: is not there")
        engine = self.engines[settings.model] = VersionEngine(int(version))
        loaded = model(self._special.get(settings.model, engine))
        release = replace(loaded.release, version=version)
        return replace(loaded, name=settings.model_name or name or "fake-rm", release=release)
