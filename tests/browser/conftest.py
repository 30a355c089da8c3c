"""A real Chromium for the built dashboard; without either, everything here skips and says so."""

from __future__ import annotations

import shutil

import pytest
from playwright.sync_api import expect, sync_playwright

from app.dashboard.site import BUILT
from tests.browser.watched import Watched

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


@pytest.fixture(scope="package")
def chromium():
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("NO CHROMIUM: install the package `chromium` to run these tests")
    if not (BUILT / "index.html").exists():
        pytest.skip("THE DASHBOARD IS NOT BUILT: run `make dashboard` to run these tests")
    expect.set_options(timeout=30_000)  # ms: the machine may be busy
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium):
    """Pages of a fresh profile; at the end, none of them may have complained."""
    opened: list[Watched] = []

    def open_(url: str, **options):
        watched = Watched(chromium.new_context(**options), url)
        opened.append(watched)
        return watched.page

    yield open_
    for watched in opened:
        watched.page.context.close()
    assert [complaint for watched in opened for complaint in watched.complaints] == []
