"""Names of channels that may be written down, into outputs and journals.

A file's label of a channel is free text: whoever stained the slide may have typed a name or a number of a patient.
Only what is built of known words for stains, dyes, markers and lamps is passed on.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["plain_names"]

_WORDS: Final = re.compile(
    r"dapi|hoechst|draq[57]|sytox|sybr|fitc|tritc|rhodamine|texas|red|green|blue|yellow|orange|far|cyan|magenta|"
    r"white|grey|gray|alexa|fluor|af\d{3}|a\d{3}|atto|opal|cy[2357](\.5)?|[ecmyrbdt]?[gryc]fp|mcherry|tdtomato|"
    r"autofluorescence|af|nuclei|nuclear|nucleus|membrane|cytoplasm|actin|tubulin|phalloidin|bodipy|wga|"
    r"cd\d{1,3}[a-z]?|ki-?67|p53|p16|pan-?ck|ck\d{0,2}|cytokeratin|ecad|e-cadherin|vimentin|sma|foxp3|pd-?l?1|"
    r"her2|egfr|gfap|iba-?1|neun|map2|collagen|mhc|hla-?dr|granzyme|sox\d{1,2}|"
    r"haematoxylin|hematoxylin|h&e|eosin|dab|brightfield|bf|dic|phase|transmitted|channel|ch\d?|ex|em|nm|laser",
    re.IGNORECASE | re.ASCII,
)
"""Words of common panels of immunofluorescence, and of dyes in the catalogues of their makers."""

_NUMBER: Final = re.compile("[0-9]{1,3}")
"""A laser's line, a channel's place; one of them, and never first."""

_PARTS: Final = re.compile(
    r"[\s_/,;:()\[\]+]+|(?<=[a-z])(?=\d{3}(nm)?$)|(?<=\d)(?=nm$)|-(?=\d{3}$)", re.IGNORECASE | re.ASCII
)


def plain_names(names: Sequence[str]) -> list[str]:
    """Names of channels, as far as they are stains'.

    Instead of any other one stands the place of its channel.

    Examples
    --------
    >>> plain_names(["DAPI", "CD3 (Opal 520)", "Alexa Fluor 488", "Jane Doe 1954-03-02"])
    ['DAPI', 'CD3 (Opal 520)', 'Alexa Fluor 488', 'channel 3']
    """
    return [name if _is_plain(name) else f"channel {place}" for place, name in enumerate(names)]


def _is_plain(name: str) -> bool:
    if not (name.isascii() and name.isprintable()):
        return False
    words = [word for word in _PARTS.split(name) if word]
    numbers = [word for word in words if _NUMBER.fullmatch(word)]
    known = all(word in numbers or _WORDS.fullmatch(word) for word in words)
    return known and 0 < len(words) <= 6 and len(numbers) < 2 and words[0] not in numbers
