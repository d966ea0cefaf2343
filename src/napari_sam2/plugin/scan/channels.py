"""Further channels of a scan in the window.

Image layers become channels, lie on the scan to be looked at, and are seen by the model as a person chooses. One that
is registered waits as a checkerboard until it is accepted.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np
from napari.layers import Image

from napari_sam2.channels.facts import channel_key
from napari_sam2.channels.mix import AUTO, FUSED, PROMPT, left_open, named_mix, said_mix
from napari_sam2.channels.opening import channel_name, open_channel, twin_note
from napari_sam2.channels.placing import said_move
from napari_sam2.core.mix import COLOURS, RGB
from napari_sam2.core.window import Window
from napari_sam2.models.registry import sees_colours
from napari_sam2.plugin.scan.channel_layers import ChannelLayers, layer_volume
from napari_sam2.plugin.scan.checkerboard import checkerboard

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_sam2.channels.stack import Channel, ChannelStack
    from napari_sam2.core.volume import Volume
    from napari_sam2.plugin.scan.channel_layers import ChannelToOpen
    from napari_sam2.plugin.scan.work import ScanWork
    from napari_sam2.session.session import Session
    from napari_sam2.session.snapshot import SessionSnapshot

__all__ = ["ChannelRow", "ScanChannels"]

WINDOW_NAME: Final = "level/width"
"""Of a window that was set on the canvas by hand."""


@dataclass(frozen=True, slots=True, eq=False)
class ChannelRow:
    """What the panel shows of a channel.

    Attributes
    ----------
    number : int
        Its place; 0 is the reference.
    name : str
        What people call it.
    layer : Image, optional
        What shows it; None when its layer was deleted.
    used : bool
        Whether the model sees it, for the current object and new ones.
    placed : str
        How it lies on the reference.
    """

    number: int
    name: str
    layer: Image | None
    used: bool
    placed: str


class ScanChannels:
    """The channels of one scan.

    Parameters
    ----------
    work : ScanWork
        The scan.
    """

    def __init__(self, work: ScanWork) -> None:
        self._work = work
        self.layers = ChannelLayers(work)
        self.proposed: Channel | None = None
        self._waiting: list[Callable[[], None]] = []
        self._board: Image | None = None

    @property
    def stack(self) -> ChannelStack | None:
        """The scan with its channels, as the session has them."""
        return self._work.snapshot.channels

    def offered(self) -> list[Image]:
        """Grey image layers that could be further channels, of any plugin."""
        taken = (self._work.image, *self.layers.all)
        layers = self._work.workspace.viewer.layers
        grey = [layer for layer in layers if isinstance(layer, Image) and not layer.rgb]
        return [layer for layer in grey if not any(layer is one for one in taken)]

    def rows(self) -> list[ChannelRow]:
        """All channels, the reference first; empty where it is alone."""
        stack = self.stack
        if stack is None or not stack.several:
            return []
        used = self._used(stack)
        layers = [self._work.image, *(self.layers.of(name) for name in stack.names[1:])]
        placed = ["reference", *(channel.placed for channel in stack.further)]
        rows = zip(range(len(stack)), stack.names, layers, placed, strict=True)
        return [ChannelRow(i, name, layer, i in used, how) for i, name, layer, how in rows]

    # -- one more -------------------------------------------------------------------------------

    def add_layer(self, layer: Image, *, register: bool = False) -> None:
        """Take a layer as a channel, with its window."""
        low, high = (float(value) for value in layer.contrast_limits)
        window = Window(low, high, WINDOW_NAME) if high > low else None
        work = self._work
        self._add(lambda: layer_volume(work, layer), channel_name(layer.name), layer, register=register, window=window)

    def open(self, given: ChannelToOpen, *, register: bool = False) -> None:
        """Take a scan that was read as a channel."""
        self._add(lambda: given.volume, given.name, None, register=register, index=given.index)

    def _add(
        self,
        read: Callable[[], Volume],
        name: str,
        layer: Image | None,
        *,
        register: bool,
        window: Window | None = None,
        index: int | None = None,
    ) -> None:
        if register and self.proposed is not None:
            self._waiting.append(lambda: self._add(read, name, layer, register=True, window=window, index=index))
            return

        def begin(session: Session) -> Channel:
            volume = read()
            session.channels.check_name(name)
            opened = open_channel(session.volume, volume, name, register=register, window=window)
            notes = (*opened.notes, *twin_note(session.channels, volume))
            channel = replace(opened, volume_index=index, notes=notes)
            if not register:
                self._take(session, channel)
            return channel

        def done(channel: Channel) -> None:
            if register:
                self._propose(channel)
            else:
                self.layers.show(self.stack)
                self._tell(channel)

        if layer is not None:
            self.layers.remember(name, layer)
        if register:
            self._work.told.emit(f"{name} is being laid on {self._work.image.name}; this takes about half a minute.")
        self._work.ask(begin, done)

    def _take(self, session: Session, channel: Channel) -> None:
        """Let the session have it, and remember its file for the day on which the session is gone on with."""
        session.add_channel(channel)
        path = channel.volume.source.path
        if path is not None:
            self._work.autosave.images.remember(channel_key(channel.volume), path, None)

    def _tell(self, channel: Channel) -> None:
        said = " ".join(channel.notes) or "it lies on the same grid."
        self._work.told.emit(f"{channel.name} is a channel now: {said}")

    # -- a registration, to be looked at --------------------------------------------------------

    def _propose(self, channel: Channel) -> None:
        self.proposed = channel
        work = self._work
        window = work.snapshot.window or work.auto_window
        board = checkerboard(work.shown.volume, window, channel)
        self._board = self.layers.add(board, f"{channel.name} and {work.image.name}, squares", (0, 255))
        self._board.visible = True
        work.told.emit(f"{self.question} Accept it or not under Channels.")
        work.changed.emit()

    @property
    def question(self) -> str:
        """What a person is asked about the registered channel.

        Empty when nothing waits.
        """
        if self.proposed is None:
            return ""
        moved = said_move(self._work.shown.volume, self.proposed.transform)
        return f"{self.proposed.name} was moved by {moved}. Do borders go on from square to square?"

    def accept(self) -> None:
        """Take the registered channel that is shown as a checkerboard."""
        channel = self.proposed
        if channel is None:
            return
        self._end_proposal()

        def done(_: None) -> None:
            self.layers.show(self.stack)
            self._tell(channel)

        self._work.ask(lambda session: self._take(session, channel), done)
        self._go_on()

    def refuse(self) -> None:
        """Leave the registered channel alone; its file is as it was."""
        channel = self.proposed
        if channel is None:
            return
        self._end_proposal()
        self.layers.forget(channel.name)
        self._work.told.emit(f"{channel.name} is not used. Give a scan of the same part of the body, or go on without.")
        self._work.changed.emit()
        self._go_on()

    def _end_proposal(self) -> None:
        board, self._board, self.proposed = self._board, None, None
        layers = self._work.workspace.viewer.layers
        if board is not None and board in layers:
            layers.remove(board)

    def _go_on(self) -> None:
        if self._waiting:
            self._waiting.pop(0)()

    def discard(self) -> None:
        """Forget what waits for an answer."""
        self._waiting.clear()
        if self._work.workspace.has_viewer:
            self._end_proposal()

    # -- what is seen ---------------------------------------------------------------------------

    def show(self, before: SessionSnapshot, after: SessionSnapshot) -> None:
        """Show channels that have come with a newer state of the session."""
        if after.channels is not before.channels:
            self.layers.show(after.channels)

    def set_seen(self, row: ChannelRow, on: bool) -> None:
        """Show a channel on the canvas, above the others, or hide it."""
        if row.number == 0:
            self._work.image.visible = on
        else:
            self.layers.set_seen(row.name, on)
        self._work.changed.emit()

    def follow_window(self, row: ChannelRow) -> None:
        """Let the model see a further channel as the canvas shows it."""
        stack, layer = self.stack, row.layer
        if stack is None or layer is None or row.number == 0:
            return
        low, high = (float(value) for value in layer.contrast_limits)
        current = stack.further[row.number - 1].window
        if high > low and not np.allclose((low, high), (current.low, current.high)):
            window = Window(low, high, WINDOW_NAME)
            self._work.ask(lambda session: session.use_channel_window(row.number, window), key=f"channel {row.number}")

    # -- what the model sees --------------------------------------------------------------------

    def _used(self, stack: ChannelStack) -> set[int]:
        """Channels that the model sees of the current object, or may see of a new one."""
        snapshot = self._work.snapshot
        obj = snapshot.objects.get(self._work.current)
        mix = obj.mix if obj is not None and obj.mix is not None else named_mix(snapshot.fusion, stack.names)
        if mix is not None:
            return {i for row in mix.weights for i, weight in enumerate(row) if weight}
        decides = left_open(snapshot.fusion, stack.names)
        return set(range(len(stack)) if decides is None else decides[1])

    def use(self, number: int, on: bool) -> None:
        """Let the model see a channel, or not."""
        stack = self.stack
        if stack is None:
            return
        used = self._used(stack) | {number} if on else self._used(stack) - {number}
        if not used:
            self._work.told.emit("The model has to see one channel at least.")
            self._work.changed.emit()
            return
        names = [stack.names[i] for i in sorted(used)]
        if len(names) == 1:
            self.see(names[0])
        else:
            self.see(f"{FUSED}:{','.join(names)}")

    def ways_to_see(self) -> list[str]:
        """What a model can be shown of several channels.

        Colours only where it was trained on them.
        """
        stack = self.stack
        if stack is None or not stack.several:
            return []
        in_colours = len(stack) <= COLOURS and sees_colours(self._work.snapshot.model_kind)
        return [AUTO, PROMPT, FUSED, *([RGB] if in_colours else []), *stack.names]

    def see(self, spec: str) -> None:
        """Choose what the model sees of this object, and new ones.

        See `napari_sam2.channels.mix.named_mix`.
        """
        object_id = self._work.current

        def use(session: Session) -> None:
            session.fusion = spec
            if object_id in session.objects and session.objects[object_id].prompts:
                session.use_mix(object_id, spec)

        self._work.ask(use)

    def said_image(self) -> str:
        """A sentence about what the model sees of the current object.

        Empty where there is one channel.
        """
        stack = self.stack
        obj = self._work.snapshot.objects.get(self._work.current)
        if stack is None or not stack.several:
            return ""
        if obj is None or not obj.mix:
            return "What the model sees is settled with the first prompt."
        return f"The model sees {said_mix(obj.mix, stack.names)}."
