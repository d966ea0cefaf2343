"""Opening a scan: from an image layer to a session.

With its journal, on the inference thread.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_sam2.channels.opening import channel_name
from napari_sam2.channels.stack import ChannelStack
from napari_sam2.core.window import is_ct
from napari_sam2.plugin.canvas.planes import show_plane
from napari_sam2.plugin.control.autosave import VOLUMES, Autosave
from napari_sam2.plugin.scan.volumes import ShownVolume, shown_volume
from napari_sam2.plugin.scan.window_change import AUTO, show_window
from napari_sam2.plugin.scan.work import ScanWork

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from napari.layers import Image

    from napari_sam2.engine.verbs import AnyModel
    from napari_sam2.plugin.control.workspace import Workspace
    from napari_sam2.plugin.settings import Preferences
    from napari_sam2.session.session import Session
    from napari_sam2.terms.terminology import Term

__all__ = ["OpenedScan", "open_scan"]


@dataclass(frozen=True, slots=True, eq=False)
class OpenedScan:
    """A scan that can be segmented.

    Attributes
    ----------
    image : Image
        The layer.
    shown : ShownVolume
        Its volume, and how the layer shows it.
    session : Session
        New; to be touched on the inference thread only.
    autosave : Autosave
        Its journal.
    is_ct : bool
        Whether intensities are Hounsfield units.
    """

    image: Image
    shown: ShownVolume
    session: Session
    autosave: Autosave[Session]
    is_ct: bool

    def begin(self, workspace: Workspace) -> ScanWork:
        """Begin the work and show it upright.

        The first scan of a window fills the canvas.
        """
        viewer, volume = workspace.viewer, self.shown.volume
        work = ScanWork(workspace, self.image, self.shown, self.session, self.autosave, is_ct=self.is_ct)
        is_first = not any(isinstance(other, ScanWork) for other in workspace.works.values())
        if is_first and volume.oriented and viewer.dims.ndisplay == 2:
            show_plane(viewer, self.image, self.shown, volume.plane_name(self.session.axis))
        work.alone.show()
        work.view.turn_upright()
        if self.shown.is_sized:
            viewer.canvas.overlays["scale_bar"].visible = True
        if not volume.is_rgb:
            show_window(work, AUTO)
        return work


def open_scan(
    image: Image,
    leading: Sequence[int],
    model: AnyModel,
    terms: Mapping[int, Term],
    preferences: Preferences,
) -> OpenedScan:
    """Begin a session on a layer's volume.

    Parameters
    ----------
    image : Image
        The layer.
    leading : sequence of int
        Which element of the axes before the last three is meant.
    model : AnyModel
        The model.
    terms : mapping of int to Term
        Names of objects by their id.
    preferences : Preferences
        Window, overlap rule, memory for features, and the folders of features and journals.
    """
    from napari_sam2.session.session import Session

    shown = shown_volume(image, leading)
    ct = not shown.volume.is_rgb and is_ct(shown.volume)
    session = Session(
        shown.volume,
        model,
        window=preferences.ct_window if ct else AUTO,
        overlap=preferences.overlap,
        feature_budget=round(preferences.feature_gib * 2**30),
        feature_folder=preferences.features,
        channels=ChannelStack(shown.volume, (), channel_name(image.name)),
    )
    session.terms = terms
    return OpenedScan(image, shown, session, Autosave(session, VOLUMES, preferences.autosave), ct)
