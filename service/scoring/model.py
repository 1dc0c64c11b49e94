"""A model to serve: a release, its encoder, and the engine that computes its scores."""

import gc
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from reward_model.release.hub import locate
from reward_model.release.lora import open_checkpoint
from reward_model.release.names import require_name
from reward_model.release.release import Release, ReleaseError
from reward_model.text.encoding import Encoder
from service.engines.engine import Engine
from service.engines.open import open_engine
from service.settings import Settings


@dataclass(frozen=True)
class Model:
    """All that is needed to score with one release.

    Attributes:
        max_characters: a conversation with more characters is too long whatever its tokens are, so
            that megabytes need not be encoded to find that out.
    """

    name: str
    release: Release
    encoder: Encoder
    max_characters: int
    engine: Engine


ModelOpener = Callable[[Settings], Model]


def open_model(settings: Settings) -> Model:
    """Read, verify and load the model that the settings name. Slow: call it on the engine's thread.

    Raises:
        ReleaseError: the checkpoint must not be served; the message names the file and the remedy.
        EngineUnavailable: the settings ask for a device or an engine that is not there.
    """
    release = open_checkpoint(
        locate(settings.model),
        chat_template=settings.chat_template,
        max_tokens=settings.max_tokens,
    )
    name = served_name(settings, release)
    # Imported here, after the release was found fit, because torch and transformers take seconds.
    from reward_model.release.checkpoint import load_tokenizer
    from reward_model.release.encoder import check_vocabulary, make_encoder

    if not gc.get_freeze_count():
        # The 400,000 objects of these libraries stay for ever. A collection that does not look at
        # them takes milliseconds instead of a quarter of a second, in which nothing else runs.
        gc.freeze()
    tokenizer = load_tokenizer(release)
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
