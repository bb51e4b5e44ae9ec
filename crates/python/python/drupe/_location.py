"""``Location``: IMAGE@PART:/PATH, as the command has it."""

from __future__ import annotations

import os
from typing import NamedTuple


class Location(NamedTuple):
    """A path in an image, as the command names it: ``IMAGE[@PART][:/PATH]``."""

    image: str
    #: A number, or the name of a volume; None: whichever has a filesystem.
    partition: str | None
    path: str

    @classmethod
    def parse(cls, text: str) -> Location:
        """What a text means, by the files there are.

        The image is in front of the last ``:/`` that has an existing file in front of
        it, with or without ``@PART``; of a network disk, in front of the first ``:/``
        behind its ``://``. Without any, all of it is the image.
        """
        uri = text.startswith(("nbd://", "nbd+unix://", "nbds://", "nbds+unix://"))
        start = text.index("://") + 3 if uri else 0
        colons = [at for at in range(start, len(text)) if text.startswith(":/", at)]
        if text.endswith(":"):
            colons.append(len(text) - 1)
        if uri:
            at = colons[0] if colons else len(text)
            return cls(*_volume(text[:at], uri=True), text[at + 1 :] or "/")
        if not os.path.lexists(text):
            for at in reversed(colons):
                image, part = _volume(text[:at])
                if os.path.lexists(image):
                    return cls(image, part, text[at + 1 :] or "/")
            if colons:
                at = colons[0]
                return cls(*_volume(text[:at]), text[at + 1 :] or "/")
        return cls(*_volume(text), "/")


def _volume(text: str, uri: bool = False) -> tuple[str, str | None]:
    """``IMAGE@PART``, unless a file is called so."""
    if not uri and os.path.lexists(text):
        return text, None
    image, at, part = text.rpartition("@")
    # Of an image that is not there, only what can hardly be meant otherwise.
    if at and part and (uri or part.isdigit() or os.path.lexists(image)):
        return image, part
    return text, None
