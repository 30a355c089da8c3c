"""Whether a command of the documentation is one that there is, without executing it."""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import typer
import yaml
from starlette.testclient import TestClient

from app.cli.application import application
from tests.documents.blocks import ROOT

#: Programs of others, for which nothing is checked but what is named here.
FOREIGN = {"cp", "echo", "export", "mkdir", "openssl", "source"}
FOREIGN |= {"createdb", "pg_dump", "pg_restore"}
_COMPOSE_COMMANDS = {"up", "exec", "run"}


class Wrong(Exception):
    """There is no such command, option, call or file."""


def check(words: list[str], api: TestClient) -> None:
    """Check a command's words as a shell hands them over.

    Raises:
        Wrong: what it names does not exist, or nothing is known about the program.
    """
    program = Path(words[0]).name
    if program in FOREIGN:
        return
    if program not in CHECKS:
        raise Wrong(f"nothing is known about {program!r}: run the block, or teach this file")
    CHECKS[program](words[1:], api)


def _headroom(words: list[str], _: object) -> None:
    try:
        _parse(typer.main.get_command(application), words)
    except Exception as error:
        if type(error).__name__ in ("Exit", "NoArgsIsHelpError"):
            return
        message = error.format_message() if hasattr(error, "format_message") else str(error)
        if "does not exist" in message:  # a file of the reader's
            return
        raise Wrong(f"headroom {shlex.join(words)}: {message}") from error


def _parse(command: Any, words: list[str]) -> None:
    # Typer brings a click of its own, so classes of click's package do not match.
    context = command.make_context(command.name, list(words))
    if hasattr(command, "commands"):
        rest = [*context._protected_args, *context.args]
        _, subcommand, rest = command.resolve_command(context, rest)
        _parse(subcommand, rest)


def _curl(words: list[str], api: TestClient) -> None:
    method, body, address = None, None, None
    options = iter(words)
    for word in options:
        if word in ("-X", "--request"):
            method = next(options)
        elif word in ("-d", "--data"):
            body = next(options)
        elif word in ("-H", "-o", "--max-time"):
            next(options)
        elif not word.startswith("-"):
            address = word
    if address is None:
        raise Wrong("curl without an address")
    if body is not None and body.startswith("@"):
        body = (ROOT / body[1:]).read_text()
    method = method or ("GET" if body is None else "POST")
    path = address.removeprefix("$H").removeprefix("http://127.0.0.1:8000")
    call(method, path, api)
    if body is not None:
        post(api, path, json.loads(body))


def call(method: str, path: str, api: TestClient) -> None:
    """Check that the API has the call; anything may stand for an id.

    Raises:
        Wrong: it has not, or not with such a query.
    """
    parts = urlsplit(path)
    for pattern, operations in openapi()["paths"].items():
        if _matches(pattern, parts.path) and method.lower() in operations:
            parameters = operations[method.lower()].get("parameters", [])
            known = {each["name"] for each in parameters if each["in"] == "query"}
            asked = {name for name, _ in parse_qsl(parts.query, keep_blank_values=True)}
            if not asked <= known:
                raise Wrong(f"{method} {pattern} takes no {sorted(asked - known)}")
            return
    # `/metrics` and the pages describe themselves.
    if method != "GET" or api.get(path).status_code == 404:
        raise Wrong(f"the API has no {method} {path}")


def _matches(pattern: str, path: str) -> bool:
    """Whether a path, or its end after `...`, is one of the pattern; anything may stand for ids."""
    if path.startswith("..."):
        bare = [re.sub(r"\{\w+\}", "{}", text) for text in (pattern, path.removeprefix("..."))]
        return bare[0].endswith(bare[1])
    return re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", pattern), path) is not None


@cache
def openapi() -> dict[str, Any]:
    """The service's description of itself."""
    from app.main import create_app
    from app.settings import Settings

    document: dict[str, Any] = create_app(Settings(database_url="sqlite:////nowhere/x")).openapi()
    return document


def post(api: TestClient, path: str, body: Any) -> None:
    """POST a body to a service without workers.

    Raises:
        Wrong: it is refused.
    """
    answer = api.post(path, json=body, headers={"Prefer": "respond-async"})
    if answer.status_code not in (200, 201, 202):
        raise Wrong(f"POST {path}: {answer.text}")


def _python(words: list[str], _: object) -> None:
    if words[:2] == ["-m", "json.tool"] or words[:1] == ["-c"]:
        return
    if words[:1] != ["-m"]:
        raise Wrong(f"python {shlex.join(words)} is not a module")
    spec = importlib.util.find_spec(words[1])
    if spec is None or spec.origin is None:
        raise Wrong(f"there is no module {words[1]}")
    # A package has its options in any of its files.
    origin = Path(spec.origin)
    files = origin.parent.glob("*.py") if origin.name == "__init__.py" else [origin]
    source = "".join(file.read_text() for file in files)
    missing = [word for word in words[2:] if word.startswith("--") and f'"{word}"' not in source]
    if missing:
        raise Wrong(f"{words[1]} takes no {missing}")


def _make(words: list[str], _: object) -> None:
    makefile = (ROOT / "Makefile").read_text()
    for word in words:
        name, assigned, _value = word.partition("=")
        pattern = rf"^{name} \?=" if assigned else rf"^{name}:"
        if not re.search(pattern, makefile, re.M):
            raise Wrong(f"the Makefile has no {name}")


def _docker(words: list[str], api: TestClient) -> None:
    if words[0] != "compose":
        return
    command, *rest = words[1:]
    if command not in _COMPOSE_COMMANDS:
        raise Wrong(f"nothing is known about docker compose {command}")
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    named = [word.partition("=")[0] for word in rest if not word.startswith("-")]
    if command in ("exec", "run"):  # what follows the service is a command in it
        command_words = rest[rest.index(named[0]) + 1 :]
        if command_words:
            check(command_words, api)
        named = named[:1]
    if not set(named) <= set(services):
        raise Wrong(f"docker-compose.yml has no {sorted(set(named) - set(services))}")


def _kubectl(words: list[str], api: TestClient) -> None:
    if "--" in words:
        check(words[words.index("--") + 1 :], api)
    if "-k" in words[:-1]:
        folder = words[words.index("-k") + 1]
        is_own = folder.startswith("overlays/")  # a copy that its user makes
        if not is_own and not (ROOT / folder / "kustomization.yaml").exists():
            raise Wrong(f"there is no kustomization in {folder}")
    manifests = "".join(path.read_text() for path in (ROOT / "deploy/kubernetes").rglob("*.yaml"))
    for word in words:
        found = re.fullmatch(r"(deploy|deployment|statefulset|job)/([\w-]+)", word)
        if found and not re.search(rf"^  name: {found[2]}$", manifests, re.M):
            raise Wrong(f"no manifest has {word}")


CHECKS: dict[str, Callable[[list[str], TestClient], None]] = {
    "headroom": _headroom,
    "curl": _curl,
    "python": _python,
    "python3": _python,
    "make": _make,
    "docker": _docker,
    "kubectl": _kubectl,
}


def span(text: str) -> tuple[str, list[str]] | None:
    """What a piece of text in backquotes is: `("command", words)`, `("call", [method, path])` or
    neither. The name of a command alone may lack what the command needs.
    """
    if re.match(r"(headroom|make|curl|kubectl|docker compose|python -m) \S", text):
        words = shlex.split(text.replace("...", "x"), comments=True)
        is_name = words[0] == "headroom" and all(word.islower() for word in words)
        return "command", [*words, "--help"] if is_name else words
    found = re.fullmatch(r"(GET|POST|PUT|PATCH|DELETE) ((?:\.\.\.)?/\S*)", text)
    if found:
        return "call", [found[1], found[2]]
    return None


def alternatives(path: str) -> list[str]:
    """`/v1/{plans,runs}/{id}` as one path each."""
    found = re.search(r"\{([\w-]+(?:,[\w-]+)+)\}", path)
    if found is None:
        return [path]
    start, end = path[: found.start()], path[found.end() :]
    return [each for name in found[1].split(",") for each in alternatives(start + name + end)]
