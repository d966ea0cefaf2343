"""A tuning, from finished scans to a model.

Or to the report that says why there is none.
"""

from __future__ import annotations

import contextlib
import hashlib
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import torch

from napari_sam2.channels.mix import AUTO, said_mix
from napari_sam2.core.mix import mix_to_json
from napari_sam2.errors import UserInputError
from napari_sam2.evaluation.comparison import read_scores, to_json
from napari_sam2.io.atomic import check_new_folder, write_text
from napari_sam2.models import DEFAULT_MODEL, load_model
from napari_sam2.models.sam2.adapter import Sam2Model
from napari_sam2.models.small.model import SmallModel
from napari_sam2.models.zoo import find
from napari_sam2.session.channels import tuned_mix
from napari_sam2.tuning.cases import find_cases
from napari_sam2.tuning.channels import mix_of_scans, seen_channels
from napari_sam2.tuning.output import REPORT, SPLIT, Tuned, write_output
from napari_sam2.tuning.plan import LONGEST, RUN, Plan, read_plan, seconds_of, steps_for
from napari_sam2.tuning.sam2 import Sam2Learner
from napari_sam2.tuning.scoring import PARTS, ScoringStoppedError, count_scored, score
from napari_sam2.tuning.small import SmallLearner
from napari_sam2.tuning.split import make_split, read_split, split_to_json
from napari_sam2.tuning.verdict import Scores, judge

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from napari_sam2.core.mix import Mix
    from napari_sam2.models.base import SegmentationModel
    from napari_sam2.tuning.cases import FinishedScan
    from napari_sam2.tuning.learner import CurvePoint, Learner
    from napari_sam2.tuning.verdict import Verdict

__all__ = ["Progress", "TuneResult", "TuneSettings", "tune"]

PLAN: Final = "plan.json"


@dataclass(frozen=True, slots=True)
class TuneSettings:
    """How to tune.

    Attributes
    ----------
    start : str
        The model to begin from, as `napari_sam2.models.load_model` takes it.
    minutes : float
        How long to learn on a machine that does nothing else; scoring comes on top.
    seed : int
        Of everything drawn.
    split : Path, optional
        ``split.json`` of an earlier tuning, whose subjects stay where they were.
    device : str
        As `napari_sam2.models.load_model` takes it.
    register, fusion : str
        How channels are laid on their scans, and how they become the image, as in
        `napari_sam2.jobs.segment.segment_scan`. Weights that are left open are found from all structures that are
        learned from, and then fixed.
    suffixes : tuple of str
        Of the images of a BIDS dataset that are channels, such as ``T2w``.
    """

    start: str = DEFAULT_MODEL
    minutes: float = 15.0
    seed: int = 0
    split: Path | None = None
    device: str = "auto"
    register: str = ""
    fusion: str = AUTO
    suffixes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run has come.

    Attributes
    ----------
    what : str
        What it is doing, in a few words.
    done, total : int
        Of that.
    curve : tuple of CurvePoint
        The learning curve so far.
    """

    what: str
    done: int
    total: int
    curve: tuple[CurvePoint, ...] = ()


@dataclass(frozen=True, slots=True)
class TuneResult:
    """What became of a run.

    Attributes
    ----------
    folder : Path
        Where everything is.
    verdict : Verdict, optional
        Better or not; None when it was stopped, to be resumed.
    """

    folder: Path
    verdict: Verdict | None


def tune(
    sources: Sequence[Path],
    folder: Path,
    settings: TuneSettings | None = None,
    *,
    resume: bool = False,
    on_progress: Callable[[Progress], None] = lambda _: None,
    should_stop: Callable[[], bool] = lambda: False,
    say: Callable[[str], None] = lambda note: None,
) -> TuneResult:
    """Tune a model on finished scans.

    It is kept only if it is better.

    Parameters
    ----------
    sources : sequence of Path
        See `napari_sam2.tuning.cases.find_cases`.
    folder : Path
        Where the model and its figures go; made if missing. Its name becomes the model's.
    settings : TuneSettings, optional
        How.
    resume : bool
        Go on with what was stopped or killed in that folder: its steps, threads, seed and mix of channels stay.
    on_progress : callable
        Told how far it is.
    should_stop : callable
        Asked often; the folder can be resumed from there.
    say : callable
        Told what a person should know of channels, a sentence at a time.

    Raises
    ------
    ManifestError
        With one sentence for every scan that cannot be used, and its line.
    UserInputError
        If all scans are of one subject, the folder is taken, or what is resumed has changed.
    ModelError, EnvironmentLacksError
        If the model to begin from cannot be loaded.
    """
    settings = settings or TuneSettings()
    _check(folder, settings, resume)
    return _Run(sources, folder, settings, resume, on_progress, should_stop, say).go()


class _Run:
    """One run, step by step."""

    def __init__(
        self,
        sources: Sequence[Path],
        folder: Path,
        settings: TuneSettings,
        resume: bool,
        on_progress: Callable[[Progress], None],
        should_stop: Callable[[], bool],
        say: Callable[[str], None],
    ) -> None:
        self._settings, self._folder, self._work = settings, folder, folder / RUN
        self._tell, self._should_stop = on_progress, should_stop
        self._tell(Progress("reading scans", 0, 1))
        self._plan = read_plan(self._work / PLAN) if resume and not _barely_begun(folder) else None
        register, fusion = (self._plan or settings).register, (self._plan or settings).fusion
        self._scans = [replace(scan, fusion=fusion) for scan in find_cases(sources, register, say, settings.suffixes)]
        self._names = tuple(channel.name for channel in self._scans[0].channels)
        if (register or fusion != AUTO) and not self._names:
            raise UserInputError(
                "--register and --fusion are for further channels; name them in columns channel_1 and so on, or, of a "
                "BIDS dataset, with --channel-suffix."
            )
        earlier = read_split(settings.split) if settings.split is not None else {}
        if (folder / SPLIT).is_file():
            earlier |= read_split(folder / SPLIT)
        split = make_split(self._scans, earlier)
        self._split = split_to_json(self._scans, split)
        self._held_out = [scan for scan in self._scans if split[scan.subject]]
        self._learned_from = [scan for scan in self._scans if not split[scan.subject]]
        self._subjects = len(split)
        self._parent = load_model(settings.start, settings.device)
        if self._plan is not None:
            self._check_resumed(self._plan)
        self._register = register
        before = tuned_mix(self._parent.card, ("reference", *self._names))
        if before is not None and fusion != AUTO:
            raise UserInputError(f"{settings.start} sees channels as it was tuned; leave --fusion out.")
        # From here on it is shown that mix as any other image.
        self._parent.card = replace(self._parent.card, seen=None)
        self._mix = before or self._settled_mix(fusion)
        if before is not None:
            self._held_out = [replace(scan, mix=before) for scan in self._held_out]
        self._learned_from = [replace(scan, mix=self._mix) for scan in self._learned_from]
        if self._mix is not None:
            say(f"it learns from {said_mix(self._mix, ('reference', *self._names))}")

    def go(self) -> TuneResult:
        """Score, learn, score again, judge."""
        plan = self._plan or self._begun()
        torch.set_num_threads(plan.threads)
        try:
            before = self._scored("before", self._parent, self._held_out)
        except ScoringStoppedError:
            return TuneResult(self._folder, None)
        learner = self._learner(self._learned_from, plan.steps, plan.chunk, plan.seed)

        shown = -1

        def learned(step: int) -> None:
            nonlocal shown
            part = step // plan.chunk
            self._tell(Progress("learning", step, plan.steps, tuple(learner.curve()) if part != shown else ()))
            shown = part

        if not learner.run(learned, self._should_stop):
            return TuneResult(self._folder, None)
        written = self._work / self._folder.resolve().name
        written.mkdir(exist_ok=True)
        learner.write(written)
        try:
            held_out = [replace(scan, mix=self._mix) for scan in self._held_out]
            after = self._scored("after", load_model(written, self._settings.device), held_out)
        except ScoringStoppedError:
            return TuneResult(self._folder, None)
        verdict = judge(before, after)
        scores = {"before": before, "after": after}
        tuned = Tuned(
            self._folder.resolve().name, self._parent.card, learner.learned, plan, len(self._scans), self._subjects,
            len({scan.subject for scan in self._held_out}), verdict, learner.curve(), scores,
            self._names, None if self._mix is None else seen_channels(self._names, self._mix),
        )  # fmt: skip
        write_output(self._folder, written, tuned)
        shutil.rmtree(self._work)
        return TuneResult(self._folder, verdict)

    def _begun(self) -> Plan:
        """Measure the rate, and write down split and plan before anything is learned."""
        settings, threads = self._settings, torch.get_num_threads()
        self._tell(Progress("measuring the rate", 0, 1))
        steps = steps_for(settings.minutes, seconds_of(self._probe().step, threads))
        self._plan = Plan(
            steps, threads, settings.seed, settings.minutes, self._parent.card.sha256, self._inputs,
            self._register, self._scans[0].fusion, mix_to_json(self._mix),
        )  # fmt: skip
        self._work.mkdir(parents=True, exist_ok=True)
        write_text(self._folder / SPLIT, self._split, overwrite=True)
        write_text(self._work / PLAN, self._plan.to_json())
        return self._plan

    def _probe(self) -> Learner:
        """A learner of the first scan that there is something to learn from."""
        for scan in self._learned_from[:-1]:
            try:
                return self._learner([scan], 1000, 1000, self._settings.seed)
            except UserInputError:
                continue
        return self._learner(self._learned_from[-1:], 1000, 1000, self._settings.seed)

    def _settled_mix(self, fusion: str) -> Mix | None:
        """What is learned from, of the channels: as the plan has it, or found now."""
        if self._plan is not None:
            return self._plan.mix_of(1 + len(self._names))
        return mix_of_scans(self._learned_from, fusion) if self._names else None

    def _check_resumed(self, plan: Plan) -> None:
        if plan.inputs != self._inputs:
            raise UserInputError("The scans are not those that the run began with; give the same, or begin anew.")
        if plan.parent != self._parent.card.sha256:
            raise UserInputError("The model is not the one that the run began from; give the same, or begin anew.")

    def _learner(self, scans: Sequence[FinishedScan], steps: int, chunk: int, seed: int) -> Learner:
        """What tunes a model of this kind."""
        parent = self._parent
        if isinstance(parent, SmallModel):
            return SmallLearner(parent, scans, self._work, steps, chunk, seed)
        if isinstance(parent, Sam2Model):
            name = self._settings.start
            checkpoint = Path(name) if Path(name).is_dir() else find(name)[0]
            on_gpu = parent.device.type == "cuda"
            return Sam2Learner(parent, checkpoint, scans, self._work, steps, chunk, seed, encoder=on_gpu)
        raise UserInputError(f"{parent.card.name} cannot be tuned; begin from 'bundled' or a model of SAM 2's family.")

    @property
    def _inputs(self) -> str:
        return hashlib.sha256(self._split.encode()).hexdigest()

    def _scored(self, when: str, model: SegmentationModel, held_out: Sequence[FinishedScan]) -> Scores:
        """Score a model; what was scored before the run was stopped is kept."""
        total = count_scored(held_out)
        done = 0

        def scored() -> None:
            nonlocal done
            done += 1
            self._tell(Progress(f"scoring {when} learning", done, total))

        self._tell(Progress(f"scoring {when} learning", 0, total))
        parts = {}
        for part in PARTS:
            file = self._work / f"{part}-{when}.json"
            if file.is_file():
                # What is damaged is scored again: the model is the same.
                with contextlib.suppress(UserInputError):
                    parts[part] = read_scores(file)
                    continue
            parts[part] = score(part, held_out, model, on_scored=scored, should_stop=self._should_stop)
            write_text(file, to_json(parts[part], {"when": when}), overwrite=True)
        return Scores(**parts)


def _check(folder: Path, settings: TuneSettings, resume: bool) -> None:
    if not 0 < settings.minutes <= LONGEST:
        raise UserInputError(f"--minutes {settings.minutes:g}: give more than 0 and at most {LONGEST}.")
    if not 0 <= settings.seed < 2**32:
        raise UserInputError(f"--seed {settings.seed}: give a number from 0 to {2**32 - 1}.")
    check_new_folder(folder)
    name = folder.resolve().name
    if resume and (folder / REPORT).is_file() and not (folder / RUN).is_dir():
        raise UserInputError(f"The run in {name} is done; see its report.json, or give another folder.")
    if not resume and folder.is_dir() and any(folder.iterdir()) and not _barely_begun(folder):
        what = "give --resume to go on with its run, or another folder" if (folder / RUN).is_dir() else "give another"
        raise UserInputError(f"{name} is not empty; {what}.")


def _barely_begun(folder: Path) -> bool:
    """Whether a run was killed before its plan was written: nothing was learned, and it begins anew."""
    work = folder / RUN
    return work.is_dir() and not (work / PLAN).exists() and {path.name for path in folder.iterdir()} <= {RUN, SPLIT}
