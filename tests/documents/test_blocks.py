"""Every block and command of README and documentation is run by a test, or says why not and names
only what there is.
"""

from __future__ import annotations

import json
import subprocess

import pytest
from starlette.testclient import TestClient

from tests.documents.blocks import BLOCKS, PAGES, ROOT, Block, spans_of
from tests.documents.commands import Wrong, alternatives, call, check, post, span
from tests.documents.shell import commands

SHELL = {"sh", "bash"}
#: Field of a request -> where it is sent.
KINDS = {"evaluations": "design-searches", "vary": "sweeps", "budget": "plans"}


def as_request(block: Block) -> tuple[str, dict]:
    """Where the block's request goes, and the request."""
    try:
        body = json.loads(block.text)
    except ValueError as error:
        raise Wrong(f"{error}: a fragment needs a test that runs it") from error
    if not isinstance(body, dict) or not {"model", "workload"} <= set(body):
        raise Wrong("no whole request: name the test that runs it")
    kind = next((kind for field, kind in KINDS.items() if field in body), "simulations")
    return f"/v1/{kind}", body


def check_block(block: Block, api: TestClient) -> None:
    """Raises `Wrong` for a block that nothing runs and that cannot be taken as it is."""
    if block.runner is not None:
        test = ROOT / block.runner
        if not test.exists() or "run_by(__file__)" not in test.read_text():
            raise Wrong(f"{block.runner} does not take its blocks from the pages")
    elif block.language in SHELL and block.excuse is not None:
        for words in commands(block.text):
            check(words, api)
    elif block.language == "json" and not block.mark:
        post(api, *as_request(block))
    else:
        raise Wrong("say `<!-- run by tests/... -->` or, of shell, `<!-- not run: why -->` above")


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_each_block_is_run_or_names_only_what_there_is(block, api):
    check_block(block, api)


@pytest.mark.parametrize("block", [b for b in BLOCKS if b.language in SHELL], ids=str)
def test_each_shell_block_is_valid_shell(block):
    subprocess.run(["bash", "-n"], input=block.text, text=True, check=True)


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_commands_and_calls_in_the_text_are_those_that_there_are(page, api):
    for text in spans_of(page):
        match span(text):
            case "command", words:
                check(words, api)
            case "call", (method, path):
                for each in alternatives(path):
                    call(method, each, api)


@pytest.mark.parametrize(
    ("language", "mark", "text"),
    [
        ("sh", "", "headroom devices\n"),
        ("sh", "not run: an option that is not there", "headroom simulate --no-such-option\n"),
        ("sh", "not run: a command that is not there", "headroom fly\n"),
        ("sh", "not run: hidden behind another", "kubectl exec pod -- headroom keys make me\n"),
        ("sh", "not run: no such path", "curl -sS $H/v1/simulation\n"),
        ("sh", "not run: no such parameter", "curl -sS '$H/v1/simulations?page=2'\n"),
        ("sh", "not run: a body that is refused", "curl $H/v1/devices -d '{\"name\": 7}'\n"),
        ("sh", "not run: no such target", "make tea\n"),
        ("sh", "not run: no such module", "python -m benchmarks.nothing\n"),
        ("sh", "not run: no such service", "docker compose up database\n"),
        ("sh", "not run: nobody knows it", "frobnicate --all\n"),
        ("sh", "run by tests/documents/nothing.py", "headroom devices\n"),
        ("python", "", "print(1)\n"),
        ("python", "not run: nobody checks what it names", "import nothing\n"),
        ("json", "", '{"model": {"source": "preset", "name": "nothing"}, "workload": {}}\n'),
        ("json", "", '"placement": []\n'),
        ("yaml", "", "a: 1\n"),
        ("", "", "anything\n"),
    ],
)
def test_what_is_wrong_or_unchecked_is_found(language, mark, text, api):
    with pytest.raises(Wrong):
        check_block(Block("docs/page.md", 1, language, mark, text), api)
