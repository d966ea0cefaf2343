"""Finished scans to learn from.

They come from a manifest, a BIDS dataset, or folders of sessions. Each is read once before anything else happens, so
that every fault is told at once and by its line.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from napari_sam2.channels.mix import AUTO
from napari_sam2.channels.opening import read_stack
from napari_sam2.channels.refusing import check_registration
from napari_sam2.core.window import choose_window
from napari_sam2.errors import EnvironmentLacksError, ManifestError, UserInputError
from napari_sam2.evaluation.datasets import find_scans
from napari_sam2.hashing import sha256_of
from napari_sam2.io.bids_input import channel_beside, check_suffixes
from napari_sam2.io.export import find_names
from napari_sam2.io.labels import read_named_labels
from napari_sam2.io.manifest import read_manifest
from napari_sam2.io.read import read_only_volume
from napari_sam2.record.journal_files import EVENTS, is_session, read_head
from napari_sam2.tuning.channels import FinishedChannel, placed_again
from napari_sam2.tuning.finished import finished_labels, finished_prompts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_sam2.channels.stack import ChannelStack
    from napari_sam2.core.mix import Mix
    from napari_sam2.core.prompts import Prompt
    from napari_sam2.core.volume import Volume
    from napari_sam2.core.window import Window
    from napari_sam2.io.channel_file import ChannelFile

__all__ = ["FinishedScan", "find_cases"]

DATASET: Final = "dataset_description.json"


@dataclass(frozen=True, slots=True)
class FinishedScan:
    """A scan with what a person finished on it.

    Attributes
    ----------
    where : str
        Where it was named, for sentences: the manifest and its line, or a file.
    subject : str
        Whose scan it is; never written anywhere.
    image : Path
        The scan.
    labels, session : Path, optional
        Its label map, or the folder of its session.
    named : mapping of int to str
        Names that the manifest gives; where there are any, the other ids do not count.
    sha256, truth_sha256 : str
        Of the image, and of its labels or session.
    names : mapping of int to str
        The structures that count, by id.
    channels : tuple of FinishedChannel
        Further channels of the scan.
    fusion : str
        How a model that was not tuned on channels sees them, see `napari_sam2.channels.mix.named_mix`.
    mix : Mix, optional
        What is learned from, once it is settled.
    """

    where: str
    subject: str
    image: Path
    labels: Path | None = None
    session: Path | None = None
    named: Mapping[int, str] = field(default_factory=dict)
    sha256: str = ""
    truth_sha256: str = ""
    names: Mapping[int, str] = field(default_factory=dict)
    channels: tuple[FinishedChannel, ...] = ()
    fusion: str = AUTO
    mix: Mix | None = None

    @property
    def key(self) -> str:
        """What results call it: the beginning of the image's hash."""
        return self.sha256[:12]

    def read(self) -> tuple[Volume, NDArray[np.integer], dict[int, str]]:
        """The scan, its labels (I, J, K) and their names.

        Only labels with a name count.

        Raises
        ------
        UserInputError
            In one sentence, without the place.
        """
        volume = read_only_volume(self.image)
        if self.session is not None:
            labels, names = finished_labels(volume, self.session, self.stack(volume))
            return volume, labels, names
        if self.labels is None:
            raise UserInputError("there is neither a label map nor a session.")
        labels, own = read_named_labels(self.labels, volume)
        present = {int(number) for number in np.unique(labels)} - {0}
        return volume, labels, _names_of(self.labels.name, present, self.named, own or find_names(self.labels))

    def prompts(self, volume: Volume) -> dict[int, tuple[Prompt, ...]]:
        """What a person gave for each structure, by id.

        Nothing where there is only a label map. `volume` is the scan as `read` gives it.
        """
        return {} if self.session is None else finished_prompts(volume, self.session, self.stack(volume))

    def stack(self, volume: Volume) -> ChannelStack:
        """The scan with its channels.

        `volume` is the scan as `read` gives it.
        """
        return placed_again(volume, self.channels)

    def image_seen(self, volume: Volume) -> tuple[Volume, Window]:
        """What is learned from, and through which window.

        The scan, or the mix of its channels.
        """
        window = choose_window(volume)
        return (volume, window) if self.mix is None else self.stack(volume).image(self.mix, window)


def find_cases(
    sources: Sequence[Path],
    register: str = "",
    say: Callable[[str], None] = lambda note: None,
    suffixes: Sequence[str] = (),
) -> tuple[FinishedScan, ...]:
    """Find the finished scans, and read each of them once.

    Parameters
    ----------
    sources : sequence of Path
        One manifest with the columns ``case``, ``image`` and ``labels`` or ``session`` (``subject`` is the case where
        it is missing; ``name`` may give names as ``1=liver;2=spleen``; ``channel_1`` and so on are further channels,
        the same of every scan), or one BIDS dataset with ``*_dseg`` files, or folders of sessions that lie beside their
        images.
    register : str
        ``"rigid"`` to lay channels on their scans by what they show; by their headers otherwise.
    say : callable
        Told what a person should know of channels, a sentence at a time.
    suffixes : sequence of str
        Of a BIDS dataset: of the images beside each that are channels of it, such as ``T2w``.

    Returns
    -------
    tuple of FinishedScan
        With hashes and names.

    Raises
    ------
    ManifestError
        With one sentence for every scan that cannot be used, and its line.
    UserInputError
        If `sources` is none of these.
    """
    check_registration(register)
    check_suffixes(suffixes)
    checked: list[FinishedScan] = []
    faults: list[str] = []
    for scan, files in _found(sources, suffixes):
        try:
            further = [*files, *(channel_beside(scan.image, suffix) for suffix in suffixes)]
            checked.append(_checked(scan, further, register, say))
        except (UserInputError, EnvironmentLacksError) as error:
            faults += [f"{scan.where}: {sentence}" for sentence in str(error).splitlines()]
    faults += [*_one_image_of_two(checked), *_unlike_channels(checked)]
    if faults:
        raise ManifestError(faults)
    return tuple(checked)


def _one_image_of_two(scans: Sequence[FinishedScan]) -> Iterator[str]:
    """A sentence for each image that is given under two subjects: one of them could judge what the other taught."""
    first: dict[str, FinishedScan] = {}
    for scan in scans:
        files = {scan.sha256: scan.image} | {channel.sha256: channel.path for channel in scan.channels}
        for digest, path in files.items():
            other = first.setdefault(digest, scan)
            if other.subject != scan.subject:
                yield f"{scan.where}: {path.name} is given for another subject in {other.where}; give both the same."


def _unlike_channels(scans: Sequence[FinishedScan]) -> Iterator[str]:
    """A sentence for each scan with other channels than the first one."""
    for scan in scans[1:]:
        one, two = ([channel.name for channel in each.channels] for each in (scans[0], scan))
        if one != two:
            yield (
                f"{scan.where}: its channels are {', '.join(two) or 'none'}, and those of {scans[0].where} are "
                f"{', '.join(one) or 'none'}; give every scan the same ones, by the same names and in the same order."
            )


def _found(sources: Sequence[Path], suffixes: Sequence[str]) -> Iterator[tuple[FinishedScan, Sequence[ChannelFile]]]:
    """Each scan, and the files of its channels."""
    if suffixes and not (len(sources) == 1 and (sources[0] / DATASET).is_file()):
        raise UserInputError("--channel-suffix is for a BIDS dataset; a manifest names channels in columns.")
    if sources and all(is_session(source) for source in sources):
        for folder in sources:
            image = _image_beside(folder)
            yield FinishedScan(folder.name, image.name, image, session=folder), ()
        return
    if len(sources) != 1:
        raise UserInputError("Give one manifest (.csv), one BIDS dataset, or folders of sessions.")
    if sources[0].is_dir():
        if not (sources[0] / DATASET).is_file():
            raise UserInputError(f"{sources[0].name} holds neither {DATASET} nor a session; give a manifest (.csv).")
        for scan in find_scans(sources[0], channels=suffixes):
            yield FinishedScan(scan.labels.name, scan.subject, scan.image, scan.labels), ()
        return
    for row in read_manifest(sources[0], needs=[("labels", "session")]):
        where = f"{sources[0].name}, line {row.line}"
        session = None if row.labels else row.session
        yield FinishedScan(where, row.subject or row.case, row.image, row.labels, session, row.names), row.channels


def _checked(
    scan: FinishedScan, files: Sequence[ChannelFile], register: str, say: Callable[[str], None]
) -> FinishedScan:
    """The scan with its hashes, names and channels; whatever is wrong with it shows now."""
    if files:
        scan = replace(scan, channels=_channels(scan, files, register, say))
    volume, labels, names = scan.read()
    truth = scan.labels or (scan.session / EVENTS if scan.session else scan.image)
    empty = [name for label_id, name in names.items() if not (labels == label_id).any()]
    if empty or not names:
        raise UserInputError(f"{truth.name} holds no voxel of {empty[0] if empty else 'any structure'}; correct it.")
    return replace(scan, sha256=volume.source.sha256, truth_sha256=sha256_of(truth), names=names)


def _channels(
    scan: FinishedScan, files: Sequence[ChannelFile], register: str, say: Callable[[str], None]
) -> tuple[FinishedChannel, ...]:
    """The channels of a scan by name, laid on it."""
    volume = read_only_volume(scan.image)
    channels: dict[str, FinishedChannel] = {}
    for file in files:
        stack = read_stack(volume, [file], register=register, say=lambda note: say(f"{scan.where}: {note}"))
        for channel in stack.further:
            if channel.name in channels:
                raise UserInputError(f"two channels are called {channel.name!r}; give each a name of its own.")
            channels[channel.name] = FinishedChannel.of(channel, file.path)
    return tuple(channels.values())


def _names_of(file: str, present: set[int], named: Mapping[int, str], own: Mapping[int, str]) -> dict[int, str]:
    """Names of the structures that count, from the manifest first."""
    if not present:
        raise UserInputError(f"{file} is empty; leave the scan out, or finish it first.")
    if set(named) == {0}:
        if len(present) > 1:
            raise UserInputError(f"{file} holds {len(present)} ids for the one name {named[0]!r}; give 1=NAME;2=NAME.")
        return {present.pop(): named[0]}
    if named:
        missing = sorted(set(named) - present)
        if missing:
            raise UserInputError(f"{file} holds no id {missing[0]} ({named[missing[0]]}); correct the column 'name'.")
        return dict(sorted(named.items()))
    nameless = sorted(present - {label_id for label_id, name in own.items() if name})
    if nameless:
        ids = ", ".join(str(number) for number in nameless[:5])
        raise UserInputError(
            f"{file} holds ids without names ({ids}); write them in the column 'name', such as "
            f"{nameless[0]}=liver, or in a table {file.partition('.')[0]}.tsv beside it."
        )
    return {number: own[number] for number in sorted(present)}


def _image_beside(session: Path) -> Path:
    """The image of a session, by its hash, in the folder that holds the session."""
    digest = read_head(session)["source"].get("sha256")
    for path in sorted(session.resolve().parent.iterdir()):
        if path.is_file() and not path.name.startswith(".") and os.access(path, os.R_OK) and sha256_of(path) == digest:
            return path
    raise UserInputError(f"{session.name}: its image does not lie beside it; give a manifest with image and session.")
