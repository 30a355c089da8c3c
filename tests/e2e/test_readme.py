"""The README's blocks, run as they are printed, against a real service."""

from __future__ import annotations

import json
import re

import pytest

from tests.documents.blocks import run_by, run_in_shell

(BLOCKS,) = run_by(__file__).values()
SHELL = [block for block in BLOCKS if block.language == "bash"]
# All blocks run in the set-up of the first test.
pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def printed(service, tmp_path_factory):
    """What each block printed, on both of its outputs."""
    folder = tmp_path_factory.mktemp("readme")
    (folder / ".venv" / "bin").mkdir(parents=True)
    (folder / ".venv" / "bin" / "activate").write_text("")  # this test's environment is active
    return run_in_shell(SHELL, folder, service.url, 280, errors=True)


def outline(text):
    """Lines without what differs from machine to machine: numbers, ids, spaces, which units."""
    lines = [re.sub(r"\s+", " ", line).strip() for line in text.splitlines()]
    masked = [re.sub(r"plan_[\w.]+|http://[\d.:]+|[\d.,]+", "#", line) for line in lines]
    return [line for line in masked if line and "outputs saved" not in line]


def test_the_plan_is_printed_as_shown(printed):
    (shown,) = (block for block in BLOCKS if block.language == "text")
    assert outline(printed[0]) == outline(shown.text)
    planned, budget = re.findall(r"^ (?:planned|budget) +([\d.]+) GiB", printed[0], re.MULTILINE)
    assert float(planned) <= float(budget) == 3


def test_the_simulation_is_printed_with_categories_that_add_up(printed):
    prediction = json.loads(printed[1])["prediction"]
    assert sum(prediction["at_peak"].values()) == prediction["peak_bytes"]


def test_the_commands_print_their_tables(printed):
    assert "At the peak" in printed[2]
    assert "whole workload" in printed[2]
