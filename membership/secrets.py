"""What must be in no text of ours."""

from collections import deque
from os.path import commonprefix


class Secrets:
    """What we proved ourselves with of late, kept out of every text: a server may echo it in an error."""

    SHORTEST = 8
    """Characters; shorter words of a header are words like Bearer."""

    def __init__(self) -> None:
        self._words: deque[str] = deque(maxlen=8)

    def note(self, header: str) -> None:
        """Remember the words of a header that was sent."""
        self._words.extend(word for word in header.split() if len(word) >= self.SHORTEST and word not in self._words)

    def redact(self, text: str) -> str:
        """`text` without them, also where one is cut off."""
        for word in list(self._words):
            at = 0
            while (at := text.find(word[: self.SHORTEST], at)) >= 0:
                size = len(commonprefix((text[at:], word)))
                text = f"{text[:at]}[secret]{text[at + size:]}"
                at += len("[secret]")
        return text
