"""Shell of the documentation, page by page, against a real service."""

from __future__ import annotations

import pytest

from app.database import migrate
from app.settings import Settings
from headroom_client import Client
from tests.documents.blocks import ROOT, run_by, run_in_shell

PAGES = run_by(__file__)
TINY = {
    "model": {
        "source": "transformers",
        "config": {
            "model_type": "gpt2",
            "n_layer": 1,
            "n_embd": 32,
            "n_head": 2,
            "vocab_size": 100,
        },
    },
    "workload": {"batch_size": 1, "sequence_length": 8},
}


@pytest.fixture(scope="module")
def simulation(service):
    """The simulation that pages call `$ID`."""
    with Client(service.url) as client:
        return client.simulate(TINY).id


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """The folder of a migrated database, for commands that work on one."""
    folder = tmp_path_factory.mktemp("data")
    migrate(Settings(data_dir=folder))
    return folder


@pytest.mark.parametrize("page", PAGES)
def test_page(service, simulation, data, page, tmp_path):
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    (tmp_path / "buffers.csv").write_text("id,lower,upper,size\na,0,2,64\nb,1,3,64\n")
    variables = {
        "H": service.url,
        "ID": simulation,
        "HEADROOM_DATA_DIR": str(data),
    }
    printed = run_in_shell(PAGES[page], tmp_path, service.url, 280, **variables)
    for block, output in zip(PAGES[page], printed, strict=True):
        if "it does not fit" in block.text:
            assert "exit code 3" in output
        if "keys create" in block.text:
            assert "hr_" in output
        if "/v1/devices" in block.text:
            assert '"name":"my-h100"' in output.replace(" ", "")
