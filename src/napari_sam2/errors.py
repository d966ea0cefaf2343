"""The errors this package raises on purpose.

Each is also the builtin that a caller would expect.

Every message is one sentence (or a list of them) that says what came, and what to do about it.
They become exit codes in the command line and notifications in napari; nothing else catches them.
"""

from __future__ import annotations

__all__ = [
    "EnvironmentLacksError",
    "GeometryError",
    "ImageFileError",
    "ManifestError",
    "ModelError",
    "NapariSam2Error",
    "PromptError",
    "ServerAwayError",
    "SeveralVolumesError",
    "UserInputError",
]


class NapariSam2Error(Exception):
    """Base of all errors raised on purpose."""


class UserInputError(NapariSam2Error, ValueError):
    """Something the user gave cannot be used as it is.

    The command line exits with 2.
    """


class ImageFileError(UserInputError):
    """A file is missing, damaged, or no image that can be read."""


class SeveralVolumesError(ImageFileError):
    """A file holds several volumes and none was chosen.

    Parameters
    ----------
    message : str
        One sentence.
    count : int
        How many there are.
    """

    def __init__(self, message: str, count: int) -> None:
        self.count = count
        super().__init__(message)


class GeometryError(UserInputError):
    """Two grids do not fit, or a header's geometry cannot be trusted."""


class PromptError(UserInputError):
    """One or more prompts are wrong; the message lists all of them.

    Parameters
    ----------
    faults : list of str
        One sentence per fault, in the order they were found.
    """

    def __init__(self, faults: list[str]) -> None:
        self.faults = list(faults)
        super().__init__("\n".join(self.faults))


class ManifestError(UserInputError):
    """One or more lines of a table of cases are wrong.

    The message lists all of them.

    Parameters
    ----------
    faults : list of str
        One sentence per fault, with its line number, in the order of the lines.
    """

    def __init__(self, faults: list[str]) -> None:
        self.faults = list(faults)
        super().__init__("\n".join(self.faults))


class EnvironmentLacksError(NapariSam2Error, RuntimeError):
    """The machine lacks something.

    A model on disk, a device, an optional package. Exit code 3.
    """


class ServerAwayError(EnvironmentLacksError):
    """A server that answers for a model is not there.

    The same can be asked again later.
    """


class ModelError(NapariSam2Error, RuntimeError):
    """A checkpoint is damaged, incomplete, untrusted or of an unknown kind.

    Exit code 3.
    """
