"""A service that asks for keys, in a browser."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from playwright.sync_api import expect

from tests.browser.watched import ROOT, serious_violations
from tests.e2e.server import Server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("keys")


@pytest.fixture(scope="module")
def address(chromium, folder):
    with Server(folder, with_worker=False, HEADROOM_AUTH="on") as server:
        yield str(server.client.base_url).rstrip("/")


def new_key(folder, scope: str) -> str:
    command = [sys.executable, "-m", "app.cli", "keys", "create", "browser", "--scope", scope]
    environment = {**os.environ, "HEADROOM_DATA_DIR": str(folder), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_the_key_is_asked_for_and_kept_in_the_tab_alone(address, folder, open_page):
    key = new_key(folder, "read")
    page = open_page(f"{address}/simulations")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("asks for a key")
    assert serious_violations(page) == []

    page.get_by_label("API key").fill("hr_wrong")
    page.keyboard.press("Enter")
    expect(dialog).to_contain_text("not accepted")
    page.get_by_label("API key").fill(key)
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_text("There is no simulation yet")).to_be_visible()
    expect(dialog).to_be_hidden()

    assert page.evaluate("Object.values(sessionStorage)") == [key]
    assert page.evaluate("Object.values(localStorage)") == []
    assert page.evaluate("document.cookie") == ""
    assert key not in page.url

    # Events come too, though EventSource could not have sent the key.
    with page.expect_response(lambda response: "/v1/events" in response.url) as stream:
        page.reload()
    assert stream.value.status == 200

    page.get_by_role("button", name="Forget key").click()
    expect(dialog).to_contain_text("asks for a key")


def test_what_a_key_may_not_do_is_said(address, folder, open_page):
    page = open_page(f"{address}/new")
    page.get_by_label("API key").fill(new_key(folder, "read"))
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Predict").click()
    expect(page.get_by_role("alert")).to_contain_text("scope")
