"""A page under observation, and what axe-core says of it."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import BrowserContext, Page

ROOT = Path(__file__).resolve().parents[2]
_AXE = ROOT / "web" / "node_modules" / "axe-core" / "axe.min.js"
# What a browser logs for an answer that the page itself shows and explains.
_EXPECTED = "Failed to load resource: the server responded with a status of 4"


class Watched:
    """Notes every error, every breach of the content security policy, and calls of other hosts."""

    def __init__(self, context: BrowserContext, url: str) -> None:
        self.complaints: list[str] = []
        self._host = urlsplit(url).netloc
        self.page = context.new_page()
        self.page.set_default_timeout(60_000)
        self.page.on("console", self._on_console)
        self.page.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))
        self.page.on("request", self._on_request)
        self.page.goto(url)

    def _on_console(self, message) -> None:
        if message.type in ("error", "warning") and not message.text.startswith(_EXPECTED):
            self.complaints.append(f"{message.type}: {message.text}")

    def _on_request(self, request) -> None:
        address = urlsplit(request.url)
        if address.scheme not in ("data", "blob") and address.netloc != self._host:
            self.complaints.append(f"asks {request.url}")


def serious_violations(page: Page) -> list[str]:
    """Those of WCAG 2.1 A and AA that axe-core calls serious or critical."""
    page.evaluate(_AXE.read_text())
    found = page.evaluate(
        """axe.run(document, {runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]})"""
    )
    return [
        f"{violation['id']}: {node['html'][:160]}"
        for violation in found["violations"]
        if violation["impact"] in ("serious", "critical")
        for node in violation["nodes"][:3]
    ]


def overflow(page: Page) -> int:
    """Pixels that the page is wider than the window.

    A phone's browser makes its own width larger where a page does not fit: that says nothing.
    """
    width: int = page.evaluate("document.documentElement.scrollWidth")
    assert page.viewport_size is not None
    return max(0, width - page.viewport_size["width"])
