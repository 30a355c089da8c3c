"""The table of docs/accuracy.md says what the tables of benchmarks/ say."""

from __future__ import annotations

import json
import re

import pytest

from tests.documents.blocks import ROOT

TEXT = (ROOT / "docs" / "accuracy.md").read_text()
TABLE = TEXT.split("<!-- measured")[1].split("<!-- /measured -->")[0]
CELLS = re.findall(
    r"^\| \[.+?\]\(\.\./benchmarks/(\w+)\.md\) \| (\d+) \| (\d+) \| (\d+) B \| ([\d.]+) % \|$",
    TABLE,
    re.MULTILINE,
)


def pairs_of(name):
    """Predicted and measured bytes of each row."""
    if name == "planner":
        rows = json.loads((ROOT / "benchmarks" / "planner.json").read_text())
        results = [row["result"] for row in rows if isinstance(row["result"], dict)]
        return [
            (result["certified_bytes"], result["peak_bytes"])
            for result in results
            if result["certified_bytes"] is not None
        ]
    page = (ROOT / "benchmarks" / f"{name}.md").read_text()
    found = re.findall(r"^\| [^|]+ \| ([\d,]+) \| ([\d,]+) \|", page, re.MULTILINE)
    return [tuple(int(text.replace(",", "")) for text in pair) for pair in found]


def test_the_table_has_its_rows():
    assert [name for name, *_ in CELLS] == ["accuracy_cpu", "systems", "planner"]


@pytest.mark.parametrize("cells", CELLS, ids=lambda cells: cells[0])
def test_each_row_is_that_of_its_table(cells):
    name, *numbers = cells
    pairs = pairs_of(name)
    differences = [abs(predicted - measured) for predicted, measured in pairs]
    worst = max(abs(predicted - measured) / measured for predicted, measured in pairs)
    assert numbers == [
        str(len(pairs)),
        str(differences.count(0)),
        str(max(differences)),
        f"{100 * worst:.4f}",
    ]
