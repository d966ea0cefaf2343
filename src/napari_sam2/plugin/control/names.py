"""Names for objects: the list that is offered, with codes and colours."""

from __future__ import annotations

from typing import TYPE_CHECKING

from psygnal import Signal

from napari_sam2.io.label_tables import read_terms
from napari_sam2.terms.templates import with_codes
from napari_sam2.terms.terminology import Term, bundled_terms, find_term

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["NameList"]


class NameList:
    """The names that are offered for objects.

    A list of the user's own, and the bundled one behind it.
    """

    changed = Signal()
    """Other names are offered."""

    def __init__(self) -> None:
        self._own: tuple[Term, ...] = ()
        self.file_name = ""

    @property
    def names(self) -> list[str]:
        """All names that are offered, each once.

        Those of the user's own list first.
        """
        return list(dict.fromkeys(term.name for term in (*self._own, *bundled_terms())))

    @property
    def by_id(self) -> dict[int, Term]:
        """What the user's own list says of objects by their id."""
        return {term.label_id: term for term in self._own if term.label_id is not None}

    def load(self, path: Path) -> int:
        """Offer the names of a file; how many it holds.

        Raises
        ------
        UserInputError
            If it cannot be read; everything stays as it is.
        """
        self._own = tuple(with_codes(term) for term in read_terms(path))
        self.file_name = path.name
        self.changed.emit()
        return len(self._own)

    def forget_list(self) -> None:
        """Offer the bundled names alone again; objects keep what they were given."""
        self._own, self.file_name = (), ""
        self.changed.emit()

    def term(self, text: str) -> Term:
        """The term of a name.

        One that is in the list has its code and colour.
        """
        return find_term(text, (*self._own, *bundled_terms())) or Term(text)
