"""Taking secrets out of what is about to be logged."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

HIDDEN = "***"

#: A URL's password may contain "/" and ":" where whoever wrote it did not escape them.
_URL = re.compile(r"(\b[a-z][a-z0-9+.-]{0,30}://[^\s:/@'\"]*):[^\s'\"]*@", re.I)
_CONNINFO = re.compile(r"\b(password\s*=\s*)('[^']*'|\S+)", re.I)
_KEY = re.compile(r"\bhr_([0-9a-f]{8})_[A-Za-z0-9_-]{10,}")
_CREDENTIALS = re.compile(r"\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{6,}", re.I)
_HEADER = re.compile(
    r"\b((?:proxy-)?authorization|x-api-key|(?:set-)?cookie)(['\"]?\s*[:=,]\s*(?:b(?=['\"]))?)"
    r"('[^']*'|\"[^\"]*\"|[^\s,;]+(?:\s+\*\*\*)?)",
    re.I,
)
_PRIVATE_FIELDS = re.compile(
    r"password|secret|authorization|api[-_]?key|cookie|(?:^|[-_])token$", re.I
)
_SHORTEST_KNOWN = 4


class Scrubber:
    """Replaces secrets in text: those that look like one, and those that it was told.

    What looks like one: passwords in URLs and connection strings, our API keys (of which the
    prefix stays, as `headroom keys list` shows it), headers that carry credentials, and values of
    fields with a telling name.
    """

    def __init__(self, known: Iterable[str] = ()) -> None:
        """Prepare.

        Args:
            known: secrets of this process, hidden wherever they stand, also escaped as in a URL.
                Ones shorter than 4 characters are left out: they would hide innocent text.
        """
        spellings = {spelling for secret in known for spelling in (secret, quote(secret, safe=""))}
        found = sorted((s for s in spellings if len(s) >= _SHORTEST_KNOWN), key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, found))) if found else None

    def text(self, text: str) -> str:
        """The text without secrets."""
        if self._known is not None:
            text = self._known.sub(HIDDEN, text)
        if "://" in text:
            text = _URL.sub(rf"\1:{HIDDEN}@", text)
        text = _KEY.sub(rf"hr_\1_{HIDDEN}", text)
        text = _CREDENTIALS.sub(rf"\1 {HIDDEN}", text)
        text = _CONNINFO.sub(rf"\1{HIDDEN}", text)
        return _HEADER.sub(rf"\1\2{HIDDEN}", text)

    def value(self, value: Any) -> Any:
        """The value with every text in it scrubbed; other objects become their scrubbed text."""
        if value is None or isinstance(value, bool | int | float):
            return value
        if isinstance(value, dict):
            return {str(name): self.field(str(name), each) for name, each in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self.value(each) for each in value]
        return self.text(str(value))

    def field(self, name: str, value: Any) -> Any:
        """The value of a field of that name."""
        if value is not None and _PRIVATE_FIELDS.search(name):
            return HIDDEN
        return self.value(value)
