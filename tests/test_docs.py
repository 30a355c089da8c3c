"""The documentation builds as a site, without a warning, and every page can be reached."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert built.returncode == 0, built.stderr
    return folder


def pages(nav):
    """Every page that a part of the navigation names."""
    if isinstance(nav, str):
        return {nav}
    parts = nav.values() if isinstance(nav, dict) else nav
    return {page for part in parts for page in pages(part)}


def test_the_readme_is_the_first_page_and_leads_to_the_others(site):
    text = (site / "index.html").read_text()
    assert 'href="benchmarks/accuracy_cpu/"' in text
    assert 'src="images/' in text
    assert 'href="api/"' in text


def test_the_reference_is_made_of_docstrings(site):
    text = (site / "reference" / "index.html").read_text()
    for name in ("planner.answers.simulate", "headroom_client.synchronous.Client"):
        assert f'id="{name}"' in text


def test_every_page_is_in_the_navigation():
    nav = pages(yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"])
    docs = ROOT / "docs"
    written = {path.relative_to(docs).as_posix() for path in docs.rglob("*.md")}
    assert written <= nav


def test_no_page_asks_another_host(site):
    for page in site.rglob("*.html"):
        text = page.read_text()
        assert 'src="http' not in text, page
        assert 'rel="stylesheet" href="http' not in text, page
