"""Opening: from an image layer to a session with its journal, on the inference thread."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_sam2.core.window import is_ct
from napari_sam2.plugin.control.autosave import VOLUMES, Autosave
from napari_sam2.plugin.scan.volumes import ShownVolume, shown_volume
from napari_sam2.plugin.scan.window_change import AUTO

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from napari.layers import Image

    from napari_sam2.models.base import SegmentationModel
    from napari_sam2.plugin.settings import Preferences
    from napari_sam2.session.session import Session
    from napari_sam2.terms.terminology import Term

__all__ = ["Opened", "open_image"]


@dataclass(frozen=True, slots=True, eq=False)
class Opened:
    """An image that can be segmented.

    Attributes
    ----------
    shown : ShownVolume
        Its volume, and how the layer shows it.
    session : Session
        New; to be touched on the inference thread only.
    autosave : Autosave
        Its journal.
    is_ct : bool
        Whether intensities are Hounsfield units.
    """

    shown: ShownVolume
    session: Session
    autosave: Autosave[Session]
    is_ct: bool

    @property
    def notes(self) -> list[str]:
        """What a person should know before working on it."""
        return [note for note in (*self.shown.volume.source.notes, self.shown.note, self.autosave.note) if note]


def open_image(
    image: Image,
    leading: Sequence[int],
    model: SegmentationModel,
    terms: Mapping[int, Term],
    set_to: Preferences,
) -> Opened:
    """Begin a session on a layer's volume.

    Parameters
    ----------
    image : Image
        The layer.
    leading : sequence of int
        Which element of the axes before the last three is meant.
    model : SegmentationModel
        Who answers.
    terms : mapping of int to Term
        Names of objects by their id.
    set_to : Preferences
        Window, overlap rule, memory and autosave folder.
    """
    from napari_sam2.session.session import Session

    shown = shown_volume(image, leading)
    ct = not shown.volume.is_rgb and is_ct(shown.volume)
    session = Session(
        shown.volume,
        model,
        window=set_to.ct_window if ct else AUTO,
        overlap=set_to.overlap,
        feature_budget=round(set_to.feature_gib * 2**30),
    )
    session.terms = terms
    return Opened(shown, session, Autosave(session, VOLUMES, set_to.autosave), ct)
