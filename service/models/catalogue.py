"""What is loaded, by name and version."""

from collections.abc import Iterator

from service.errors import Conflict, UnknownModel
from service.models.loaded_model import LoadedModel


class ModelCatalogue:
    """Several releases side by side; of each name one version is current.

    A request that names no version gets the current one and keeps it to its end, because it looks
    it up once. Used on the event loop only, so what is current changes between two requests.
    """

    def __init__(self) -> None:
        self._loaded: dict[str, LoadedModel] = {}
        self._current: dict[str, LoadedModel] = {}

    def __iter__(self) -> Iterator[LoadedModel]:
        return iter(tuple(self._loaded.values()))

    def is_current(self, served: LoadedModel) -> bool:
        return self._current.get(served.model.name) is served

    @property
    def default(self) -> LoadedModel | None:
        """The current version of the name that was loaded first; None before there is any."""
        return next(iter(self._current.values()), None)

    def find(self, named: str | None) -> LoadedModel:
        """By `name`, `name@version`, or the default for None.

        Raises:
            UnknownModel: nothing of that name is loaded.
        """
        assert self.default is not None, "asked for when one is loaded"
        if named is None:
            return self.default
        if found := self._current.get(named) or self._loaded.get(named):
            return found
        names = ", ".join(sorted({*self._current, *self._loaded}))
        raise UnknownModel(f"the models served here are {names}: name one, or none", param="model")

    def add(self, served: LoadedModel, *, current: bool) -> None:
        """Raises Conflict if that very version is loaded already."""
        if served.key in self._loaded:
            raise Conflict(f"{served.key} is loaded already: unload it first")
        self._loaded[served.key] = served
        if current or served.model.name not in self._current:
            self._current[served.model.name] = served

    def replace(self, hung: LoadedModel, fresh: LoadedModel) -> None:
        """Put the same version, loaded again, in its place."""
        self._loaded[hung.key] = fresh
        if self.is_current(hung):
            self._current[hung.model.name] = fresh

    def make_current(self, key: str) -> LoadedModel:
        """From now on this version is what its name means."""
        served = self._exactly(key)
        self._current[served.model.name] = served
        return served

    def remove(self, key: str) -> LoadedModel:
        """Nobody finds it any more; who has found it keeps it.

        Raises:
            Conflict: its name means it, and others are loaded or it is what is served by default.
        """
        served = self._exactly(key)
        if self.is_current(served):
            if served is self.default or self._others(served):
                raise Conflict(f"{key} is current: make another version of it current first")
            del self._current[served.model.name]
        del self._loaded[key]
        return served

    def _others(self, served: LoadedModel) -> bool:
        name = served.model.name
        return any(other.model.name == name and other is not served for other in self)

    def _exactly(self, key: str) -> LoadedModel:
        if key not in self._loaded:
            loaded = ", ".join(sorted(self._loaded))
            raise UnknownModel(f"loaded are {loaded}: name one as name@version", param="model")
        return self._loaded[key]
