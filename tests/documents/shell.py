"""The commands in a piece of shell, as far as documentation needs it."""

from __future__ import annotations

import re
import shlex

_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")
_SEPARATORS = {";", "|", "||", "&&", "&", "(", ")"}


def commands(script: str) -> list[list[str]]:
    """The words of each command. Redirections, assignments and comments are left out; what a
    command is given by another (`$(...)`) is a command of its own.
    """
    found: list[list[str]] = []
    for line in _logical_lines(script):
        words: list[str] = []
        tokens = iter(_tokens(line))
        for token in tokens:
            if token in _SEPARATORS:
                found.append(words)
                words = []
            elif token.startswith((">", "<")):
                next(tokens)
            elif words or not (_ASSIGNMENT.match(token) or token == "$"):
                words.append(token)
            elif token.endswith("$"):  # NAME=$(command)
                words = []
        found.append(words)
    return [words for words in found if words]


def _logical_lines(script: str) -> list[str]:
    """Lines, with those joined that a backslash or an open quote continues."""
    lines: list[str] = []
    pending = ""
    for line in script.replace("\\\n", " ").splitlines():
        pending += line
        try:
            shlex.split(pending, comments=True)
        except ValueError:
            pending += "\n"
            continue
        lines.append(pending)
        pending = ""
    assert not pending, f"a quote is not closed: {pending}"
    return lines


def _tokens(line: str) -> list[str]:
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    return list(lexer)
