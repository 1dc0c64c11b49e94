"""A model to serve: a release, its encoder, and the engine that computes its scores."""

import gc
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from reward_model.release.hub import locate
from reward_model.release.lora import open_checkpoint
from reward_model.release.names import require_name
from reward_model.release.release import Release, ReleaseError
from reward_model.text.criteria import require_system_turns
from reward_model.text.encoding import Encoder
from reward_model.text.template import Unencodable
from service.engines.engine import Engine
from service.engines.open import open_engine
from service.scoring.criteria import Criteria
from service.settings import Settings


@dataclass(frozen=True)
class Model:
    """All that is needed to score with one release.

    Attributes:
        max_characters: a conversation with more characters is too long whatever its tokens are, so
            that megabytes need not be encoded to find that out.
        criteria: what it can be asked to judge by.
    """

    name: str
    release: Release
    encoder: Encoder
    max_characters: int
    engine: Engine
    criteria: Criteria = field(default_factory=Criteria)


ModelOpener = Callable[[Settings], Model]


def open_as_set(path: Path, settings: Settings) -> Release:
    """Open a checkpoint with its chat template, length and base as the settings say.

    Raises:
        ReleaseError: it must not be served; the message names the file and the remedy.
    """
    return open_checkpoint(
        path,
        chat_template=settings.chat_template,
        max_tokens=settings.max_tokens,
        several_labels=True,
        bases=(settings.bases,),
    )


def open_model(settings: Settings) -> Model:
    """Read, verify and load the model that the settings name. Slow: call it on the engine's thread.

    Raises:
        ReleaseError: the checkpoint must not be served, or has not the criteria that the settings
            name; the message names the file and the remedy.
        EngineUnavailable: the settings ask for a device or an engine that is not there.
    """
    release = open_as_set(locate(settings.model), settings)
    name = served_name(settings, release)
    criteria = Criteria.of(release, settings.criteria_weights)
    # Imported here, after the release was found fit, because torch and transformers take seconds.
    from reward_model.release.checkpoint import load_tokenizer
    from reward_model.release.encoder import check_vocabulary, make_encoder

    if not gc.get_freeze_count():
        # The 400,000 objects of these libraries stay for ever. A collection that does not look at
        # them takes milliseconds instead of a quarter of a second, in which nothing else runs.
        gc.freeze()
    tokenizer = load_tokenizer(release)
    if criteria.prompts:
        try:
            require_system_turns(tokenizer)
        except Unencodable as error:
            raise ReleaseError(f"{release.path}: its criteria cannot be used: {error}") from error
    # Before the engine opens, which may take minutes.
    check_vocabulary(release, tokenizer)
    engine = open_engine(release, tokenizer, settings)
    encoder, warnings = make_encoder(release, tokenizer, engine.facts.max_tokens)
    return Model(
        name=name,
        release=replace(release, warnings=(*release.warnings, *engine.facts.warnings, *warnings)),
        encoder=encoder,
        # No token stands for more characters than the longest entry of the vocabulary has.
        max_characters=engine.facts.max_tokens * max(map(len, tokenizer.get_vocab())),
        engine=engine,
        criteria=criteria,
    )


def served_name(settings: Settings, release: Release) -> str:
    """Return the name under which the settings let the release be served.

    Raises:
        ReleaseError: requests would misread the name.
    """
    # A downloaded checkpoint lies in a folder named by its commit, which is no name for a model.
    is_local = Path(settings.model).expanduser().exists()
    try:
        return require_name(settings.model_name or (release.name if is_local else settings.model))
    except ValueError as error:
        raise ReleaseError(
            f"{settings.model}: its name {error}. Name it with --model-name, or with `name` at "
            "the admin port, or rename its folder"
        ) from error
