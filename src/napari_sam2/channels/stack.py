"""A scan with its further channels, as eye and model see them.

The reference says where everything lies: prompts, masks and files are on its grid. Another channel is laid on that
grid when it is opened, and its own file never changes.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from napari_sam2.channels.placing import IDENTITY, is_same_grid, on_grid_of
from napari_sam2.core.volume import Source, Volume
from napari_sam2.core.window import Window, choose_window
from napari_sam2.errors import GeometryError, UserInputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_sam2.core.mix import Mix

__all__ = ["Channel", "ChannelStack", "place_channel"]

MOST_CHANNELS: Final = 32
"""A stack of stains has some ten; more is a film or a time series."""

MOST_KEPT: Final = 4
"""Mixed images kept in memory, the last used: each takes two bytes a voxel, three in colour."""

DEEPEST: Final = 65535
"""Grey levels of a mixed image: 16 bits, finer than what a network tells apart."""

FUSED: Final = Window(0.0, float(DEEPEST), "fused")
RGB: Final = Window(0.0, 255.0, "rgb")


@dataclass(frozen=True, eq=False)
class Channel:
    """Another sequence, modality or stain of what the reference shows.

    Attributes
    ----------
    name : str
        What people call it.
    volume : Volume
        As it was read, on its own grid.
    transform : (4, 4) array
        From world places of the reference to those of this scan, RAS+ mm; the identity where headers agree.
    window : Window
        How its intensities become [0, 1].
    laid : Volume
        Its intensities on the reference's grid; NaN where it has none.
    placed : str
        ``"same grid"``, ``"resampled"`` or ``"registered"``.
    notes : tuple of str
        Sentences for the person.
    volume_index : int, optional
        Which volume of a file that holds several.
    """

    name: str
    volume: Volume
    transform: NDArray[np.float64]
    window: Window
    laid: Volume
    placed: str
    notes: tuple[str, ...] = ()
    volume_index: int | None = None


def place_channel(
    reference: Volume,
    volume: Volume,
    name: str,
    *,
    transform: NDArray[np.float64] | None = None,
    window: Window | None = None,
    notes: Sequence[str] = (),
) -> Channel:
    """Lay a scan on the grid of a reference.

    Parameters
    ----------
    reference, volume : Volume
        Where to, and what; that it has a place there is `napari_sam2.channels.placing.refuse_without_place`'s to say.
    name : str
        What people call it.
    transform : (4, 4) array, optional
        From world places of the reference to those of the scan, RAS+ mm; found by a registration.
    window : Window, optional
        Chosen for the scan as it was read by default.
    notes : sequence of str
        What to tell of it.

    Raises
    ------
    GeometryError
        If either holds colours, which are channels already.
    """
    for one, what in ((reference, reference.source.public_name), (volume, name)):
        if one.is_rgb:
            raise GeometryError(f"{what} holds colours, which are three channels already; give scans with grey values.")
    moved = IDENTITY if transform is None else np.array(transform, dtype=np.float64)
    laid = on_grid_of(reference, volume, moved)
    placed = "same grid" if is_same_grid(reference, volume) else "resampled"
    source = replace(volume.source, header=None, notes=())
    on_grid = Volume(laid, reference.affine, reference.oriented, source)
    placed = placed if transform is None else "registered"
    return Channel(name, volume, moved, window or choose_window(volume), on_grid, placed, tuple(notes))


@dataclass(frozen=True, eq=False)
class ChannelStack:
    """A reference and its further channels.

    Parameters
    ----------
    reference : Volume
        The scan whose grid everything lies on.
    further : tuple of Channel
        The others, in the order in which they were given.
    name : str
        What people call the reference.
    """

    reference: Volume
    further: tuple[Channel, ...] = ()
    name: str = ""
    _mixed: dict[Any, tuple[Volume, Window]] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        if len(self.further) >= MOST_CHANNELS:
            raise UserInputError(f"There are {len(self.further) + 1} channels; at most {MOST_CHANNELS} can be used.")
        names = self.names
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise UserInputError(f"Two channels are called {twice!r}; give each a name of its own, as NAME=FILE.")

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all channels, the reference first."""
        return (self.name or "reference", *(channel.name for channel in self.further))

    def check_name(self, name: str) -> None:
        """Refuse a name that a channel has already.

        Raises
        ------
        UserInputError
            Saying what to do.
        """
        if name in self.names:
            raise UserInputError(f"There is a channel called {name!r} already; give this one another name.")

    @property
    def several(self) -> bool:
        """Whether there is any other channel than the reference."""
        return bool(self.further)

    def __len__(self) -> int:
        return 1 + len(self.further)

    def windows(self, window: Window) -> tuple[Window, ...]:
        """The windows of all channels, with that of the reference as given."""
        return (window, *(channel.window for channel in self.further))

    def windowed(self, window: Window, part: Any) -> list[NDArray[np.float32]]:
        """A part of every channel in [0, 1].

        Parameters
        ----------
        window : Window
            Of the reference.
        part : index
            Of an (I, J, K) array.
        """
        volumes = (self.reference, *(channel.laid for channel in self.further))
        return [w.apply(v.voxels[part]) for v, w in zip(volumes, self.windows(window), strict=True)]

    def image(self, mix: Mix | None, window: Window) -> tuple[Volume, Window]:
        """What a model sees of a mix, and through which window.

        Parameters
        ----------
        mix : Mix, optional
            The reference alone without one.
        window : Window
            Of the reference.

        Returns
        -------
        Volume
            Of the reference's shape and place: a channel as it is, 16 bits for a fused one, RGB in 8 bits.
        Window
            Its window.
        """
        if mix is None or (mix.kind == "one" and mix.channel == 0):
            return self.reference, window
        if mix.kind == "one":
            channel = self.further[mix.channel - 1]
            return channel.laid, channel.window
        key = (mix, self.windows(window))
        made = self._mixed.pop(key, None) or self._mix(mix, window)
        self._mixed[key] = made
        while len(self._mixed) > MOST_KEPT:
            self._mixed.pop(next(iter(self._mixed)))
        return made

    def _mix(self, mix: Mix, window: Window) -> tuple[Volume, Window]:
        grey = len(mix.weights) == 1
        shape = self.reference.shape if grey else (*self.reference.shape, 3)
        voxels: NDArray[Any] = np.empty(shape, dtype=np.uint16 if grey else np.uint8)
        # Slab by slab: a whole scan in floating point, once per channel, would be several times its size.
        for i in range(shape[0]):
            voxels[i] = np.rint(mix.of(self.windowed(window, i)) * (DEEPEST if grey else 255))
        source = Source(name=self.reference.source.name)
        made = Volume(voxels, self.reference.affine, self.reference.oriented, source)
        return made, FUSED if grey else RGB

    def with_channel(self, channel: Channel) -> ChannelStack:
        """The same with one channel more."""
        return ChannelStack(self.reference, (*self.further, channel), self.name)

    def with_window(self, number: int, window: Window) -> ChannelStack:
        """The same with another window for a further channel, counted from 1."""
        changed = list(self.further)
        changed[number - 1] = replace(changed[number - 1], window=window)
        return ChannelStack(self.reference, tuple(changed), self.name)
