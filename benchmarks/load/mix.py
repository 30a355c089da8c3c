"""What clients ask in the load test: dashboards that look again and again, scripts that ask what
was answered before."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import httpx2

from benchmarks.load.generator import Call
from benchmarks.load.rows import PATTERNS, body
from benchmarks.load.service import succeeded

_SIMULATIONS = "/v1/simulations"


@dataclass(frozen=True)
class Stored:
    """What there is to ask for: ids of simulations (those with a tape apart) and of a run."""

    simulations: list[str]
    traced: list[str]
    run: str


def store_patterns(client: httpx2.Client) -> Stored:
    """Have a worker simulate the patterns and run one of them."""
    traced = [succeeded(client, _SIMULATIONS, body(model)) for model in PATTERNS]
    return Stored([], traced, succeeded(client, "/v1/runs", {"simulation_id": traced[1]}))


class Mix:
    """Calls at random, the same ones with every start."""

    def __init__(self, client: httpx2.Client, stored: Stored, headers: dict[str, str]) -> None:
        self._chance = random.Random(0)
        self._stored = stored
        self._headers = {"Host": "headroom", **headers}
        self._tag = client.get(f"{_SIMULATIONS}/{stored.simulations[0]}").headers["ETag"]
        page = client.get(_SIMULATIONS, params={"limit": 200}).json()
        self._cursors = [page["next_cursor"]]
        for _ in range(20):
            page = client.get(
                _SIMULATIONS, params={"limit": 200, "cursor": self._cursors[-1]}
            ).json()
            if page["next_cursor"] is None:
                break
            self._cursors.append(page["next_cursor"])
        self._reads: dict[str, tuple[float, Callable[[], tuple[str, dict[str, str], int]]]] = {
            "a simulation": (0.28, self._one),
            "a simulation, not changed (304)": (0.20, self._unchanged),
            "first page of the list": (0.14, lambda: (_SIMULATIONS, {}, 200)),
            "first page, filtered": (0.10, self._filtered),
            "a page further back": (0.06, self._deep),
            "a run": (0.08, lambda: (f"/v1/runs/{stored.run}", {}, 200)),
            "workers": (0.05, lambda: ("/v1/workers", {}, 200)),
            "devices": (0.04, lambda: ("/v1/devices", {}, 200)),
            "timeline of a simulation": (0.05, self._timeline),
        }

    def read(self) -> Call:
        """One of the reads, in their shares."""
        names = list(self._reads)
        (name,) = self._chance.choices(names, [self._reads[name][0] for name in names])
        path, headers, expected = self._reads[name][1]()
        return Call(name, self._payload("GET", path, headers), expected)

    def cached(self) -> Call:
        """A POST of what is stored."""
        content = json.dumps(body(self._chance.choice(PATTERNS))).encode()
        length = {"Content-Length": str(len(content)), "Content-Type": "application/json"}
        payload = self._payload("POST", _SIMULATIONS, length) + content
        return Call("POST of a stored simulation", payload, 200)

    def _one(self) -> tuple[str, dict[str, str], int]:
        return f"{_SIMULATIONS}/{self._chance.choice(self._stored.simulations)}", {}, 200

    def _unchanged(self) -> tuple[str, dict[str, str], int]:
        return self._one()[0], {"If-None-Match": self._tag}, 304

    def _filtered(self) -> tuple[str, dict[str, str], int]:
        model = self._chance.choice(PATTERNS)["config"]["model_type"]
        chosen: list[dict[str, Any]] = [
            {"model_type": model},
            {"status": "failed"},
            {"model_type": model, "status": "succeeded", "device": "cpu"},
        ]
        return f"{_SIMULATIONS}?{urlencode(self._chance.choice(chosen))}", {}, 200

    def _deep(self) -> tuple[str, dict[str, str], int]:
        query = urlencode({"cursor": self._chance.choice(self._cursors)})
        return f"{_SIMULATIONS}?{query}", {}, 200

    def _timeline(self) -> tuple[str, dict[str, str], int]:
        return f"{_SIMULATIONS}/{self._chance.choice(self._stored.traced)}/timeline", {}, 200

    def _payload(self, method: str, path: str, headers: dict[str, str]) -> bytes:
        lines = [f"{method} {path} HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in {**self._headers, **headers}.items()]
        return "\r\n".join([*lines, "", ""]).encode()
