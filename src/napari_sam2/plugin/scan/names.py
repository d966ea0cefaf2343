"""Naming: which names are offered for objects, and what an object gets with a name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from psygnal import Signal

from napari_sam2.errors import UserInputError
from napari_sam2.io.label_tables import read_terms
from napari_sam2.terms.terminology import Term, bundled_terms, find_term

if TYPE_CHECKING:
    from pathlib import Path

    from napari_sam2.plugin.control.controller import Controller

__all__ = ["Naming"]


class Naming:
    """The list of names of a viewer: a person's own list, and the bundled one behind it.

    Parameters
    ----------
    controller : Controller
        Knows the annotation.
    """

    changed = Signal()
    """Other names are offered."""

    def __init__(self, controller: Controller) -> None:
        self._controller = controller
        self._own: tuple[Term, ...] = ()
        self.file_name = ""

    @property
    def names(self) -> list[str]:
        """All names that are offered, each once; those of a person's own list first."""
        return list(dict.fromkeys(term.name for term in (*self._own, *bundled_terms())))

    @property
    def by_id(self) -> dict[int, Term]:
        """What a person's own list says of objects by their id."""
        return {term.label_id: term for term in self._own if term.label_id is not None}

    def load(self, path: Path) -> bool:
        """Offer the names of a file; objects without a name get theirs where the file has ids.

        A file that cannot be read leaves everything as it is, and is explained. Whether it was read.
        """
        try:
            self._own = tuple(read_terms(path))
        except UserInputError as error:
            self._controller.warned.emit(str(error))
            return False
        self.file_name = path.name
        self._controller.say(f"{len(self._own)} names from {path.name} are offered.")
        if self._controller.annotation is not None:
            self._controller.annotation.use_terms(self.by_id)
        self.changed.emit()
        return True

    def forget_list(self) -> None:
        """Offer the bundled names alone again; objects keep what they were given."""
        self._own, self.file_name = (), ""
        if self._controller.annotation is not None:
            self._controller.annotation.use_terms({})
        self.changed.emit()

    def name(self, object_id: int, text: str) -> None:
        """Give an object a name; one that is in the list brings its code and colour."""
        if self._controller.annotation is not None:
            term = find_term(text, (*self._own, *bundled_terms())) or Term(text)
            self._controller.annotation.describe(object_id, term)
