"""A column of rows that scrolls up and down.

It is never narrower than they are.
"""

from __future__ import annotations

from qtpy.QtCore import QEvent, QObject, QSize, Qt
from qtpy.QtWidgets import QFrame, QScrollArea, QWidget

__all__ = ["Column"]


class Column(QScrollArea):
    """Scrolls a widget in one direction.

    Parameters
    ----------
    rows : QWidget
        What is scrolled.
    """

    def __init__(self, rows: QWidget, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setWidgetResizable(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setWidget(rows)

    def minimumSizeHint(self) -> QSize:  # noqa: N802
        """As wide as the widest row and the scroll bar.

        In a large font a row would be cut.
        """
        least = super().minimumSizeHint()
        bar = self.verticalScrollBar()
        if self.widget() is None or bar is None:
            return least
        frame = self.contentsMargins().left() + self.contentsMargins().right() + 2 * self.frameWidth()
        return QSize(self.widget().minimumSizeHint().width() + bar.sizeHint().width() + frame, least.height())

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802
        """Rows that were unfolded, or have another font, may need another width."""
        if event.type() == QEvent.Type.LayoutRequest:
            self.updateGeometry()
        return bool(super().eventFilter(watched, event))
