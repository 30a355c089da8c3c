"""What the dashboard takes in a real browser: first paint, bytes, drawing 50,000 events, frames.

    python -m benchmarks.dashboard [--repeats 7] [--write benchmarks/dashboard.md]

A service with one worker is started on a temporary folder and traces a deep GPT-2 for real. Every
load is of a new browser profile: nothing is cached. Needs Chromium and the built dashboard.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import statistics
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Page, sync_playwright

from app.cli.embedded import embedded_service
from app.cli.server import Server

_FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
_DESKTOP = {"width": 1280, "height": 900}
_PHONE = {"width": 390, "height": 844}
_LEAST_EVENTS = 50_000
_PAN_S = 4.0
# Two training steps of this make about 55,000 events.
_DEEP: dict[str, Any] = {
    "model": {
        "source": "transformers",
        "config": {"model_type": "gpt2", "n_layer": 72, "n_embd": 256, "n_head": 4},
    },
    "workload": {"batch_size": 2, "sequence_length": 128},
}

# When the first chart is on the screen: its mark is set when it has been drawn, and the frame that
# shows it ends after the next animation frame's callbacks.
_WATCH = """
window.seen = {tasks: []};
new PerformanceObserver((list) => {
  for (const mark of list.getEntries()) {
    if (mark.name !== "chart-drawn" || window.seen.drawn) continue;
    window.seen.drawn = mark.startTime;
    requestAnimationFrame(() => setTimeout(() => (window.seen.shown = performance.now())));
  }
}).observe({type: "mark", buffered: true});
new PerformanceObserver((list) => {
  for (const task of list.getEntries()) window.seen.tasks.push([task.startTime, task.duration]);
}).observe({type: "longtask", buffered: true});
"""
# Functions, since the page's policy lets nothing evaluate text.
_PAINTED = "() => performance.getEntriesByName('first-contentful-paint').length > 0"
_SHOWN = "() => window.seen.shown > 0"
_READ = """() => {
  const paint = performance.getEntriesByName("first-contentful-paint")[0];
  const answers = performance.getEntriesByType("resource");
  const data = answers.find((entry) => entry.name.includes("/timeline?"));
  return {
    paint: paint.startTime,
    received: data?.responseEnd ?? null,
    shown: window.seen.shown ?? null,
    longest: Math.max(0, ...window.seen.tasks.map(([, duration]) => duration)),
  };
}"""
_FRAMES = """(seconds) => new Promise((done) => {
  const gaps = [];
  let before = performance.now();
  const end = before + 1000 * seconds;
  const step = () => {
    const now = performance.now();
    gaps.push(now - before);
    before = now;
    if (now < end) requestAnimationFrame(step);
    else done(gaps.slice(1));
  };
  requestAnimationFrame(step);
})"""


@dataclass
class Load:
    """One load of a page with nothing cached; times in ms since it was asked for."""

    paint: float
    files: int
    answers: int
    longest: float
    hosts: set[str]
    drawn: float | None = None
    """From the timeline's last byte to the frame that shows it."""


@dataclass
class Wire:
    """Compressed bytes of what a page loads, as the browser counts them."""

    page: Page
    answers: int = 0
    files: int = 0
    hosts: set[str] = field(default_factory=set)
    _paths: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        session = self.page.context.new_cdp_session(self.page)
        session.send("Network.enable")
        session.on("Network.requestWillBeSent", self._asked)
        session.on("Network.loadingFinished", self._loaded)

    def _asked(self, event: dict[str, Any]) -> None:
        address = urlsplit(event["request"]["url"])
        if address.scheme not in ("data", "blob"):
            self._paths[event["requestId"]] = address.path
            self.hosts.add(address.netloc)

    def _loaded(self, event: dict[str, Any]) -> None:
        size = int(event["encodedDataLength"])
        if self._paths.get(event["requestId"], "").startswith("/v1/"):
            self.answers += size
        else:
            self.files += size


@contextmanager
def fresh_page(browser: Browser, viewport: dict[str, int]) -> Iterator[Page]:
    """A page of a profile that has nothing cached."""
    context = browser.new_context(viewport=viewport)  # type: ignore[arg-type]
    context.add_init_script(_WATCH)
    try:
        yield context.new_page()
    finally:
        context.close()


def load(browser: Browser, url: str, viewport: dict[str, int], *, draws: bool) -> Load:
    """Load a page and, where it draws, wait until the drawing is on the screen."""
    with fresh_page(browser, viewport) as page:
        wire = Wire(page)
        page.goto(url)
        page.wait_for_function(_PAINTED)
        if draws:
            page.wait_for_function(_SHOWN)
        page.wait_for_timeout(500)  # what comes later counts too
        seen = page.evaluate(_READ)
        drawn = seen["shown"] - seen["received"] if draws else None
        return Load(seen["paint"], wire.files, wire.answers, seen["longest"], wire.hosts, drawn)


def frames(browser: Browser, url: str, viewport: dict[str, int]) -> list[float]:
    """Gaps between frames in ms while the zoomed timeline is dragged and zoomed by the mouse."""
    with fresh_page(browser, viewport) as page:
        page.goto(url)
        page.wait_for_function(_SHOWN)
        canvas = page.locator(".chart canvas").first
        canvas.scroll_into_view_if_needed()
        box = canvas.bounding_box()
        assert box is not None
        middle, height = box["x"] + box["width"] / 2, box["y"] + box["height"] / 3
        page.mouse.move(middle, height)
        for _ in range(4):
            page.mouse.wheel(0, -240)
            page.wait_for_timeout(50)
        page.wait_for_timeout(1_000)
        page.evaluate(
            f"() => void (window.gaps = ({_FRAMES})({_PAN_S}))"
        )  # goes on while the mouse moves
        return _pan(page, middle, height, box["width"] / 4)


def _pan(page: Page, middle: float, height: float, reach: float) -> list[float]:
    """To and fro, with a rest and a zoom between, until the frames have been counted."""
    page.evaluate("() => void window.gaps.then((gaps) => (window.counted = gaps))")
    way, turn = 30, 0
    while not page.evaluate("Boolean(window.counted)"):
        start = middle + reach * (-1) ** turn
        page.mouse.move(start, height)
        page.mouse.down()
        for step in range(way):
            page.mouse.move(start - 2 * reach * (-1) ** turn * (step + 1) / way, height)
        page.mouse.up()
        page.mouse.wheel(0, -120 if turn % 2 else 120)
        page.wait_for_timeout(250)  # long enough for the closer points to come
        turn += 1
    gaps: list[float] = page.evaluate("window.counted")
    return gaps


@dataclass
class Measured:
    """Everything for the report."""

    event_count: int
    pages: dict[str, list[Load]]
    gaps: dict[str, list[float]]
    browser: str


def measure(repeats: int) -> Measured:
    """Start a service, store the simulation, and look at it."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        raise SystemExit("no Chromium: install the package `chromium`")
    with embedded_service() as server, sync_playwright() as playwright:
        identity, event_count = deep_simulation(server)
        browser = playwright.chromium.launch(executable_path=program, args=_FLAGS)
        views: list[tuple[str, str, dict[str, int], bool]] = [
            ("`/`", "/", _DESKTOP, False),
            ("`/new`", "/new", _DESKTOP, False),
            ("a simulation", f"/simulations/{identity}", _DESKTOP, True),
            ("a simulation, on a phone", f"/simulations/{identity}", _PHONE, True),
        ]
        pages = {
            name: [load(browser, server.url + path, size, draws=draws) for _ in range(repeats)]
            for name, path, size, draws in views
        }
        gaps = {
            name: frames(browser, server.url + path, size)
            for name, path, size, draws in views
            if draws
        }
        version = browser.version
        browser.close()
    return Measured(event_count, pages, gaps, version)


def deep_simulation(server: Server) -> tuple[str, int]:
    """The id of a stored simulation with at least 50,000 events, and how many it has."""
    simulation = server.simulate(_DEEP, lambda _: None)
    if simulation["status"] != "succeeded":
        raise SystemExit(f"the simulation has {simulation['status']}: {simulation['problem']}")
    timeline = server.get(f"/v1/simulations/{simulation['id']}/timeline", max_points=10)
    event_count: int = timeline["event_count"]
    if event_count < _LEAST_EVENTS:
        raise SystemExit(f"{event_count} events are fewer than {_LEAST_EVENTS}")
    return simulation["id"], event_count


def report(measured: Measured) -> str:
    """The page of benchmarks."""
    return "\n".join(
        [_HEAD.format(**_facts(measured)), *_pages(measured), _EVENTS, *_frames(measured), ""]
    )


_HEAD = """\
# The dashboard in a browser

Made by `python -m benchmarks.dashboard --write benchmarks/dashboard.md`: a real service, and a deep
GPT-2 traced for real, whose two training steps are {events} events of the tape. {repeats} loads of
each page, each in a new profile with nothing cached; median, and the largest in brackets.
{browser}, headless and without a GPU, on the {cores} cores of a {machine} machine that also serves.

| page | first contentful paint, ms | files, kB | answers, kB | longest task, ms | other hosts |
|---|---:|---:|---:|---:|---:|"""
_EVENTS = f"""
*Files* and *answers* are what came over the wire, compressed, with its headers. *Longest task*:
script, layout or painting that nothing else could interrupt. *Other hosts*: how many were asked for
anything.

## Drawing the timeline

*Drawn*: from the last byte of the timeline's answer to the end of the frame that shows it; the API
thins the events to a point for each pixel, each the highest of its part. *Frames*: the gaps between
them over {_PAN_S:.0f} s in which the zoomed timeline is dragged to and fro and zoomed, and rests in
between, when closer points are fetched and drawn. 60 frames a second are 16.7 ms.

| page | drawn, ms | frames | median, ms | p99, ms | longest, ms |
|---|---:|---:|---:|---:|---:|"""


def _facts(measured: Measured) -> dict[str, str]:
    return {
        "events": f"{measured.event_count:,}",
        "repeats": str(len(next(iter(measured.pages.values())))),
        "browser": f"Chromium {measured.browser.partition('.')[0]}",
        "cores": str(os.cpu_count()),
        "machine": platform.machine(),
    }


def _pages(measured: Measured) -> Iterator[str]:
    for name, loads in measured.pages.items():
        others = set().union(*(one.hosts for one in loads))
        paint, longest = _spread(one.paint for one in loads), _spread(one.longest for one in loads)
        yield (
            f"| {name} | {paint} | {loads[0].files / 1000:.0f} | {loads[0].answers / 1000:.0f} "
            f"| {longest} | {len(others) - 1} |"
        )


def _frames(measured: Measured) -> Iterator[str]:
    for name, gaps in measured.gaps.items():
        ordered = sorted(gaps)
        p99 = ordered[int(0.99 * (len(ordered) - 1))]
        drawn = _spread(one.drawn or 0.0 for one in measured.pages[name])
        yield (
            f"| {name} | {drawn} | {len(gaps)} | {statistics.median(gaps):.1f} | {p99:.1f} "
            f"| {ordered[-1]:.1f} |"
        )


def _spread(times: Iterable[float]) -> str:
    values = list(times)
    return f"{statistics.median(values):.0f} ({max(values):.0f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--write", type=Path)
    arguments = parser.parse_args()
    text = report(measure(arguments.repeats))
    print(text)
    if arguments.write:
        arguments.write.write_text(text)


if __name__ == "__main__":
    main()
