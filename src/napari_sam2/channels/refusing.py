"""Scans that cannot be channels of each other, refused in a sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from napari_sam2.channels.placing import refuse_without_place
from napari_sam2.errors import GeometryError, UserInputError
from napari_sam2.io.dicom import DicomSource
from napari_sam2.io.dicom_series import read_tags

if TYPE_CHECKING:
    from napari_sam2.core.volume import Volume

__all__ = ["RIGID", "check_channel", "check_registration", "doubts_about"]

RIGID: Final = "rigid"
"""The only registration there is."""

MOST_LARGER: Final = 100.0
"""Sides of voxels over each other: metres for millimetres are a thousand, and slides of tissue lie on no scan."""


def check_registration(register: str) -> None:
    """Refuse any registration but the rigid one.

    Raises
    ------
    UserInputError
        Naming it.
    """
    if register not in ("", RIGID):
        raise UserInputError(f"--register {register[:40]}: there is only {RIGID}.")


def check_channel(reference: Volume, volume: Volume, name: str, *, register: bool = False) -> None:
    """Refuse a scan that cannot be a channel, before anything is computed.

    Parameters
    ----------
    reference, volume : Volume
        The scan with the labels, and the other one.
    name : str
        What the channel is called.
    register : bool
        Whether it is laid by what it shows, so that its header need not say where it lies.

    Raises
    ------
    GeometryError
        If it is of another patient, or its header puts it elsewhere.
    """
    for one, what in ((reference, reference.source.public_name), (volume, name)):
        if one.is_rgb:
            raise GeometryError(f"{what} holds colours, which are three channels already; give scans with grey values.")
    _refuse_another_patient(reference, volume, name, register=register)
    if not register:
        refuse_without_place(reference, volume, name)
    larger = float(np.prod(volume.spacing) / np.prod(reference.spacing)) ** (1 / 3)
    if reference.oriented and volume.oriented and not 1 / MOST_LARGER < larger < MOST_LARGER:
        raise GeometryError(
            f"{name}: its voxels are {max(larger, 1 / larger):.3g} times {'larger' if larger > 1 else 'smaller'} than "
            f"those of {reference.source.public_name}; its header may be in another unit, correct it."
        )


def doubts_about(reference: Volume, volume: Volume) -> tuple[str, ...]:
    """Sentences on what DICOM leaves open of whether two series belong together.

    No tag's value is repeated.
    """
    one, two = _tags(reference), _tags(volume)
    if one is None or two is None:
        return ()
    sentences = []
    together = any(_same(one, two, keyword) for keyword in ("FrameOfReferenceUID", "StudyInstanceUID"))
    if not (_same(one, two, "PatientID") or together):
        sentences.append("its tags do not say that it is of the same patient as the reference; make sure of it.")
    if _differ(one, two, "StudyInstanceUID"):
        sentences.append("it was taken in another study than the reference; look whether both show the same state.")
    return tuple(sentences)


def _refuse_another_patient(reference: Volume, volume: Volume, name: str, *, register: bool) -> None:
    """Refuse DICOM of another patient, and of another frame of reference unless it is to be registered."""
    one, two = _tags(reference), _tags(volume)
    if one is None or two is None:
        return
    # Numbers of patients are unique within a hospital only.
    if any(_differ(one, two, keyword) for keyword in ("PatientID", "PatientBirthDate")):
        raise GeometryError(f"{name}: it is of another patient than the reference; give a scan of the same one.")
    if not register and _differ(one, two, "FrameOfReferenceUID"):
        centres = [v.voxel_to_world((np.array(v.shape) - 1) / 2) for v in (reference, volume)]
        away = np.linalg.norm(centres[0] - centres[1])
        raise GeometryError(
            f"{name}: its frame of reference differs from the reference's (its centre lies {away:.0f} mm away, if that "
            "means anything); give a scan of the same session, or --register rigid."
        )


def _same(one: Any, two: Any, keyword: str) -> bool:
    """Whether both state one value."""
    value = _value(one, keyword)
    return bool(value) and value == _value(two, keyword)


def _differ(one: Any, two: Any, keyword: str) -> bool:
    """Whether each states a value of its own."""
    values = _value(one, keyword), _value(two, keyword)
    return all(values) and values[0] != values[1]


def _tags(volume: Volume) -> Any:
    if not isinstance(volume.source.header, DicomSource):
        return None
    return read_tags(volume.source.header.slices[0].path)


def _value(tags: Any, keyword: str) -> str:
    try:
        return str(tags.get(keyword) or "").strip()
    except Exception:  # values are converted here, and pydicom raises many kinds
        return ""
