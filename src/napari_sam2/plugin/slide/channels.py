"""Channels of a slide by hand.

Which are seen, their colours and ranges.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_sam2.errors import UserInputError
from napari_sam2.plugin.slide.opening import SLIDE_KEY
from napari_sam2.plugin.slide.reader import slide_layer
from napari_sam2.slides.image.channel_rows import ChannelRow, mix_of, rows_of, with_measured_windows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_sam2.plugin.slide.work import SlideWork
    from napari_sam2.slides.session import SlideSession

__all__ = ["SlideChannels"]


class SlideChannels:
    """Shows channels otherwise, to the eye and to the model.

    Only of a slide that this program's reader opened; the contrast limits of another picture are napari's.

    Parameters
    ----------
    work : SlideWork
        The slide.

    Attributes
    ----------
    rows : tuple of ChannelRow
        As they are shown; empty for plain colours, and until they are known.
    """

    def __init__(self, work: SlideWork) -> None:
        self._work = work
        self.rows: tuple[ChannelRow, ...] = ()
        self._slide = work.image.metadata.get(SLIDE_KEY)
        if self._slide is not None and self._slide.mix is not None:
            work.ask_quietly(lambda session: rows_of(session.slide), self._on_rows)

    def change(self, number: int, row: ChannelRow) -> None:
        """Show one channel as `row` says."""
        self._use([row if n == number else other for n, other in enumerate(self.rows)])

    def measure(self) -> None:
        """Give every channel the range that its intensities suggest."""
        self._use(with_measured_windows(self.rows))

    def bring_back(self) -> None:
        """Show the channels as the resumed work showed them."""
        if not self.rows:
            return

        def show(session: SlideSession) -> tuple[ChannelRow, ...]:
            mix = session.state.earlier_mix
            if mix is not None:
                session.show_channels(mix)
            return rows_of(session.slide)

        self._work.ask(show, self._on_shown)

    def _use(self, rows: Sequence[ChannelRow]) -> None:
        work = self._work
        try:
            if work.snapshot.unfinished is not None:
                raise UserInputError("An automatic run is not done; let it end, or discard it, then change channels.")
            mix = mix_of(rows)
        except UserInputError as error:
            work.told.emit(str(error))
            work.changed.emit()
            return
        self.rows = tuple(rows)
        work.ask(lambda session: session.show_channels(mix), lambda _: self._on_shown(self.rows), key="channels")

    def _on_rows(self, rows: tuple[ChannelRow, ...]) -> None:
        self.rows = rows
        self._work.changed.emit()

    def _on_shown(self, rows: tuple[ChannelRow, ...]) -> None:
        """Draw the picture anew: napari and dask keep what they have read."""
        self.rows = rows
        work = self._work
        work.pointer.clear_preview()
        if self._slide is not None:
            work.image.data = slide_layer(self._slide)[0]
        work.changed.emit()
