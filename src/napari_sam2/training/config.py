"""The configuration of a training run, read from TOML.

An unknown key is an error.
"""

from __future__ import annotations

import dataclasses
import tomllib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from napari_sam2.errors import UserInputError
from napari_sam2.models.small.net import NetConfig
from napari_sam2.training.losses import LossWeights
from napari_sam2.training.sampler import Shares

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["PoolRecipe", "Stage", "TrainConfig", "read_config"]


@dataclass(frozen=True, slots=True)
class Stage:
    """One part of a run.

    Attributes
    ----------
    rollouts : int
        Number of roll-outs, each of one batch of clips.
    size : int
        Side of the views, a multiple of 16.
    batch : int
        Clips per roll-out.
    steps : int
        Decodes per roll-out: the first prompt, then corrections or further slices.
    correct : float
        Probability that a step corrects the current slice instead of going on.
    teacher : float
        Probability that a remembered mask is the truth, carelessly drawn.
    refine : float
        Probability that a corrected slice gets no new click, only a closer view of the last answer.
    ending : float
        Probability that a clip is chosen so that its object ends within it.
    closest : float
        Smallest view of a bare click over the object's side.
    imperfect : float
        Probability that a remembered mask has gone wrong: eroded, grown, shifted, half lost or leaked.
    closeup : float
        Probability that the last correction is seen at the scale of the error.
    annotated : float
        Share of clips that are mostly corrected and hardly carried; the others follow ``correct``.
    short : float
        Share of roll-outs of two steps, a prompt and mostly a correction: the prompted slice is what all others
        inherit from.
    judged : bool
        Whether an answer whose presence is denied is remembered as empty, as an engine does.
    """

    rollouts: int
    size: int
    batch: int
    steps: int
    correct: float
    teacher: float
    refine: float = 0.0
    ending: float = 0.0
    closest: float = 1.4
    imperfect: float = 0.0
    closeup: float = 0.0
    annotated: float = 0.0
    short: float = 0.0
    judged: bool = False

    def __post_init__(self) -> None:
        """Refuse sizes that the network cannot take."""
        if self.size % 16 or self.size < 32:
            message = f"a stage's size must be a multiple of 16 and at least 32, got {self.size}"
            raise UserInputError(message)


@dataclass(frozen=True, slots=True)
class PoolRecipe:
    """How a pool file is made when it is not there yet.

    Attributes
    ----------
    pool : str
        The file, relative to the configuration.
    seed : int
        Seed of the slabs, or of the search for objects.
    slabs, size, depth : int
        Number of synthetic slabs, their rows and columns, and their slices.
    textures : str
        List of texture files, relative to the configuration; empty for a synthetic pool.
    anatomy : str
        ``"labelled"``, ``"maps"`` or ``"textures"``: that part of a data folder, see `training.anatomy`.
    folder : str
        The data folder; environment variables are filled in.
    split : str
        Split file, relative to the configuration.
    held_out : bool
        Whether the pool is made of the held-out items, for validation.
    """

    pool: str
    seed: int
    slabs: int = 0
    size: int = 160
    depth: int = 14
    textures: str = ""
    anatomy: str = ""
    folder: str = ""
    split: str = ""
    held_out: bool = False


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """Everything that decides what comes out of a run.

    Attributes
    ----------
    name : str
        Name of the model, used for its file.
    seed : int
        Seed of every random choice.
    stages : tuple of Stage
    synthetic_pools, real_pools : tuple of str
        Pool files for training, relative to the configuration file.
    labelled_pools, map_pools : tuple of str
        Pool files of labelled images and of label maps.
    validation_pools : tuple of str
        Pool files of held-out real textures.
    held_out_pools : tuple of str
        Pool files of held-out labelled images.
    prepare : tuple of PoolRecipe
        How to make pool files that are not there.
    held_out : int
        Volumes at the beginning of each synthetic pool kept for validation.
    learning_rate, weight_decay, warm_up : float, float, int
        AdamW's peak rate and decay; the rate rises over ``warm_up`` updates, then falls as a cosine.
    hold : float
        Share of the roll-outs after which the rate begins to fall. A run that may be lengthened later holds it.
    start : str
        Weight file to begin from, relative to the configuration; what does not fit begins at random, what is
        new at zero. Empty begins at random.
    blend : float
        Share of the trained weights in those that are written; the rest is ``start``, see `training.start`.
    presence_shift : float
        Added to the presence score that is written, to even out missed and over-run ends.
    mirrored : str
        When the model averages over mirror images: ``"always"`` or ``"prompted"``, see `models.small.weights`.
    first : float
        Weight of the loss on prompted slices over that on the others.
    ema : float
        Decay of the averaged weights, which are the ones that are used.
    kinds : dict
        Share of each first prompt: box, click, mask.
    threads : int
        CPU threads; 0 leaves torch's default.
    validate_every, keep_every : int
        Roll-outs between validations, and between checkpoints.
    validate_hidden : bool
        Whether validation is repeated with the image hidden, which takes as long again.
    keep_channels : tuple of int
        Channels shown to the network, for ablations; empty shows all.
    """

    name: str
    seed: int
    stages: tuple[Stage, ...]
    synthetic_pools: tuple[str, ...] = ()
    real_pools: tuple[str, ...] = ()
    labelled_pools: tuple[str, ...] = ()
    map_pools: tuple[str, ...] = ()
    validation_pools: tuple[str, ...] = ()
    held_out_pools: tuple[str, ...] = ()
    prepare: tuple[PoolRecipe, ...] = ()
    held_out: int = 0
    learning_rate: float = 2e-3
    weight_decay: float = 0.02
    warm_up: int = 200
    hold: float = 0.0
    start: str = ""
    blend: float = 1.0
    presence_shift: float = 0.0
    mirrored: str = "always"
    first: float = 1.0
    ema: float = 0.999
    kinds: dict[str, float] = field(default_factory=lambda: {"box": 0.4, "click": 0.35, "mask": 0.25})
    threads: int = 0
    validate_every: int = 500
    keep_every: int = 500
    validation_clips: int = 48
    validate_hidden: bool = True
    keep_channels: tuple[int, ...] = ()
    net: NetConfig = field(default_factory=NetConfig)
    loss: LossWeights = field(default_factory=LossWeights)
    shares: Shares = field(default_factory=Shares)

    @property
    def rollouts(self) -> int:
        """Roll-outs of all stages together."""
        return sum(stage.rollouts for stage in self.stages)

    def at(self, rollout: int) -> Stage:
        """The stage that a roll-out belongs to."""
        end = 0
        for stage in self.stages:
            end += stage.rollouts
            if rollout < end:
                return stage
        return self.stages[-1]


def read_config(path: Path) -> TrainConfig:
    """Read a TOML file into a `TrainConfig`."""
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        message = f"{path} cannot be read as TOML: {error}"
        raise UserInputError(message) from error
    parts = {"net": NetConfig, "loss": LossWeights, "shares": Shares}
    stages = tuple(_build(Stage, stage, f"{path}: stages") for stage in values.pop("stages", []))
    if not stages:
        message = f"{path} needs at least one [[stages]] table"
        raise UserInputError(message)
    recipes = tuple(_build(PoolRecipe, table, f"{path}: prepare") for table in values.pop("prepare", []))
    nested = {key: _build(kind, values.pop(key), f"{path}: {key}") for key, kind in parts.items() if key in values}
    config: TrainConfig = _build(TrainConfig, {**values, **nested, "stages": stages, "prepare": recipes}, str(path))
    return config


def _build(kind: type[Any], values: dict[str, Any], where: str) -> Any:
    names = {f.name for f in dataclasses.fields(kind)}
    unknown = sorted(set(values) - names)
    if unknown:
        message = f"{where}: unknown {', '.join(unknown)}; known are {', '.join(sorted(names))}"
        raise UserInputError(message)
    frozen = {key: tuple(v) if isinstance(v, list) else v for key, v in values.items()}
    try:
        return kind(**frozen)
    except TypeError as error:
        message = f"{where}: {error}"
        raise UserInputError(message) from error
