"""The other scan: seen beside this one, and a source of proposals.

Both are scans of one body, such as two time points. Places are matched by their world (RAS+ mm), or by a rigid
registration of the two.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from psygnal import Signal

from napari_sam2.channels.alignment import rigid_transform
from napari_sam2.channels.placing import IDENTITY, covered_share, said_move
from napari_sam2.finding.other_scan import carried
from napari_sam2.terms.terminology import Term

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_sam2.finding.candidate import Candidate
    from napari_sam2.plugin.scan.work import ScanWork
    from napari_sam2.session.session import Session

__all__ = ["OtherScan"]


class OtherScan:
    """Which other open scan belongs to this one, and where it lies.

    Parameters
    ----------
    work : ScanWork
        This scan.

    Attributes
    ----------
    transform : (4, 4) array
        From world places of this scan to those of the other, RAS+ mm.
    """

    changed = Signal()
    """Another scan is chosen, or it lies elsewhere."""

    def __init__(self, work: ScanWork) -> None:
        self._work = work
        self._chosen: ScanWork | None = None
        self.transform: NDArray[np.float64] = IDENTITY

    @property
    def offered(self) -> list[ScanWork]:
        """Open scans that it could be.

        Their place in the patient is known.
        """
        work = self._work
        if work.kind != "scan" or not work.shown.volume.oriented:
            return []
        works = [other for other in work.workspace.works.values() if isinstance(other, type(work))]
        return [o for o in works if o is not work and o.kind == "scan" and o.shown.volume.oriented]

    @property
    def chosen(self) -> ScanWork | None:
        """The one that was chosen, or the only one that is open."""
        offered = self.offered
        if self._chosen in offered:
            return self._chosen
        return offered[0] if len(offered) == 1 else None

    def choose(self, other: ScanWork | None) -> None:
        """Take one of the offered scans."""
        self._chosen, self.transform = other, IDENTITY
        self.changed.emit()

    def place_there(self, voxel: Sequence[float]) -> NDArray[np.float64]:
        """The voxel (3,) there at a voxel of this scan, not rounded.

        Raises
        ------
        RuntimeError
            If no other scan is chosen.
        """
        there = self._needed().shown.volume
        world = self._work.shown.volume.voxel_to_world([voxel])[0]
        moved = self.transform[:3, :3] @ world + self.transform[:3, 3]
        place: NDArray[np.float64] = there.world_to_voxel([moved])[0]
        return place

    def place_here(self, voxel: Sequence[float]) -> NDArray[np.float64]:
        """The voxel (3,) here at a voxel of the other, not rounded.

        Raises
        ------
        RuntimeError
            If no other scan is chosen.
        """
        world = self._needed().shown.volume.voxel_to_world([voxel])[0]
        back = np.linalg.inv(self.transform)
        place: NDArray[np.float64] = self._work.shown.volume.world_to_voxel([back[:3, :3] @ world + back[:3, 3]])[0]
        return place

    def lay_on(self) -> None:
        """Find how the other scan lies on this one.

        By a rigid registration.
        """
        work, other = self._work, self.chosen
        if other is None:
            work.told.emit(self._why_none())
            return
        work.told.emit(f"Laying {other.image.name} on {work.image.name} ...")

        def find(session: Session) -> NDArray[np.float64]:
            return rigid_transform(session.volume, other.shown.volume, other.image.name)

        def done(transform: NDArray[np.float64]) -> None:
            self.transform = transform
            self.changed.emit()
            moved = said_move(work.shown.volume, transform)
            work.told.emit(f"{other.image.name} lies on {work.image.name}: moved by {moved}. Compare the pictures.")

        work.ask(find, done)

    def carry_over(self) -> None:
        """Propose the objects of the other scan here.

        Each is to be accepted or rejected.
        """
        work, other = self._work, self.chosen
        if other is None:
            work.told.emit(self._why_none())
            return
        if not other.has_objects:
            work.told.emit(f"{other.image.name} has no objects yet.")
            return
        missing = {i: obj for i, obj in other.snapshot.objects.items() if i not in work.snapshot.objects}
        terms = {i: Term(other.name_of(i), obj.code, obj.colour) for i, obj in missing.items()}
        if not terms:
            work.told.emit(f"All objects of {other.image.name} are here already.")
            return
        transform, volumes = self.transform, (other.shown.volume, work.shown.volume)
        if covered_share(volumes[1], volumes[0], transform) == 0:
            work.told.emit(
                f"{other.image.name} and {work.image.name} do not overlap where their headers put them: press Lay on."
            )
            return

        def carry(_session: Session) -> tuple[list[Candidate], list[str]]:
            there = other.stream_session()
            if there is None:
                return [], []
            return carried(there.label_map(), *volumes, terms, transform)

        def done(answer: tuple[list[Candidate], list[str]]) -> None:
            candidates, outside = answer
            work.finding.offer(tuple(candidates), f"Not on this scan: {', '.join(outside)}." if outside else "")

        work.told.emit(f"Carrying objects of {other.image.name} ...")
        work.ask(carry, done)

    def _needed(self) -> ScanWork:
        other = self.chosen
        if other is None:
            raise RuntimeError("No other scan is chosen.")
        return other

    def _why_none(self) -> str:
        if not self._work.shown.volume.oriented:
            return f"{self._work.image.name} does not say where it lies in the patient, so nothing can lie beside it."
        return "Choose the other scan first." if self.offered else "Open the other scan first, and select it once."
