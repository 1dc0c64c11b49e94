"""The models that are loaded, by name and version."""

from collections.abc import Iterator

from reward_model.release.names import look_alike
from service.errors import Conflict, UnknownModel
from service.models.loaded_model import LoadedModel


class ModelCatalogue:
    """Holds several releases side by side; of each name one version is current.

    A request that names no version gets the current one and keeps it to its end, because it looks
    it up once. The catalogue is used on the event loop only, so what is current changes between two
    requests and needs no lock.
    """

    def __init__(self) -> None:
        # By `name@version`, and the current version of each name by the name alone.
        self._loaded: dict[str, LoadedModel] = {}
        self._current: dict[str, LoadedModel] = {}

    def __iter__(self) -> Iterator[LoadedModel]:
        # A copy, so that models may come and go while somebody iterates.
        return iter(tuple(self._loaded.values()))

    @property
    def default(self) -> LoadedModel | None:
        """The current version of the name that was loaded first; None before there is any."""
        return next(iter(self._current.values()), None)

    def is_current(self, loaded: LoadedModel) -> bool:
        return self._current.get(loaded.model.name) is loaded

    def get(self, key: str) -> LoadedModel | None:
        """Return exactly this `name@version`, or None."""
        return self._loaded.get(key)

    def find(self, named: str | None) -> LoadedModel:
        """Find a model by `name`, by `name@version`, or the default one for None.

        Raises:
            UnknownModel: nothing of that name is loaded.
        """
        assert self.default is not None, "requests come in only when a model is loaded"
        if named is None:
            return self.default
        # Exact versions come first, so that no other model's name can stand for one.
        if found := self._loaded.get(named) or self._current.get(named):
            return found
        names = ", ".join(sorted({*self._current, *self._loaded}))
        raise UnknownModel(f"the models served here are {names}: name one, or none", param="model")

    def add(self, loaded: LoadedModel, *, current: bool) -> None:
        """Add a model; the first of its name is current in any case.

        Raises:
            Conflict: that very version is loaded already, or a name that looks like its own is.
        """
        if loaded.key in self._loaded:
            raise Conflict(
                f"{loaded.key} is loaded already: unload it first, or give this one another name"
            )
        name = loaded.model.name
        if other := next((other for other in self._current if look_alike(name, other)), None):
            raise Conflict(
                f"{name} differs from {other}, which is loaded, only in case or in how Unicode "
                "writes it: give this one another name"
            )
        self._loaded[loaded.key] = loaded
        if current or name not in self._current:
            self._current[name] = loaded

    def make_current(self, key: str) -> LoadedModel:
        """Make this version the one that its name means from now on.

        Raises:
            UnknownModel: it is not loaded.
        """
        loaded = self._find_exactly(key)
        self._current[loaded.model.name] = loaded
        return loaded

    def remove(self, key: str) -> LoadedModel:
        """Remove a version from lookup; requests that already hold it finish on it.

        Raises:
            UnknownModel: it is not loaded.
            Conflict: it is current, and it is the default or other versions of its name are loaded.
        """
        loaded = self._find_exactly(key)
        name = loaded.model.name
        if self.is_current(loaded):
            others = any(other.model.name == name and other is not loaded for other in self)
            if others or loaded is self.default:
                raise Conflict(f"{key} is current: make another version of it current first")
            del self._current[name]
        del self._loaded[key]
        return loaded

    def _find_exactly(self, key: str) -> LoadedModel:
        if key not in self._loaded:
            names = ", ".join(sorted(self._loaded))
            raise UnknownModel(f"loaded are {names}: name one as name@version", param="model")
        return self._loaded[key]
