"""`headroom check`, with a backend that predicts what a request says."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from app.cli.application import application
from app.cli.errors import CliError

MIB = 2**20
ACTION = Path(__file__).resolve().parents[2] / "action.yml"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    class Backend:
        def simulate(self, body, on_progress):
            peak = body["model"]["peak"]
            if peak is None:
                return {"status": "failed", "problem": {"title": "t", "detail": "it fails"}}
            return {"status": "succeeded", "prediction": {"peak_bytes": peak}}

        def close(self):
            pass

    monkeypatch.setattr("app.cli.commands.check.open_backend", lambda *_: Backend())
    return tmp_path


def needs(name, peak):
    Path(name).write_text(json.dumps({"model": {"peak": peak}}))


def check(*arguments):
    result = CliRunner().invoke(application, ["check", *arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_what_has_grown_fails_and_what_has_shrunk_passes():
    needs("a.json", 100 * MIB)
    needs("b.json", 100 * MIB)
    assert check("a.json", "b.json", "--update").exit_code == 0
    needs("a.json", 99 * MIB)
    assert check("a.json", "b.json").exit_code == 0
    needs("b.json", 101 * MIB)
    result = check("a.json", "b.json")
    assert result.exit_code == 3
    (line,) = re.findall(r".*b\.json.*", result.stdout)
    assert line.split() == ["b.json", "101.00", "MiB", "100.00", "MiB", "+1.00%", "too", "much"]
    assert check("a.json", "b.json", "--tolerance", "1").exit_code == 0


def test_agreeing_keeps_what_is_not_named():
    needs("a.json", 1)
    needs("b.json", 2)
    check("a.json", "--update")
    check("b.json", "--update")
    content = json.loads(Path("headroom.json").read_text())
    assert content["needed_bytes"] == {"a.json": 1, "b.json": 2}
    assert "torch" in content["versions"]


def test_a_new_request_passes_but_not_over_the_limit():
    needs("a.json", 5 * MIB)
    assert check("a.json").exit_code == 0
    assert check("a.json", "--memory", "4MiB").exit_code == 3
    assert check("a.json", "--memory", "4MiB", "--update").exit_code == 3


def test_json_and_markdown_say_the_same():
    needs("a.json", 4 * MIB)
    check("a.json", "--update")
    needs("a.json", 5 * MIB)
    result = check("a.json", "--json", "--summary", "summary.md")
    assert json.loads(result.stdout) == [
        {
            "name": "a.json",
            "needed_bytes": 5 * MIB,
            "agreed_bytes": 4 * MIB,
            "passes": False,
            "growth": 0.25,
        }
    ]
    assert "| a.json | 5.00 MiB | 4.00 MiB | +25.00% | too much |" in Path("summary.md").read_text()


@pytest.mark.parametrize(
    ("content", "code"), [('{"model_type": "gpt2"}', 2), ('{"model": {"peak": null}}', 1)]
)
def test_what_cannot_be_checked_is_no_pass(content, code):
    Path("a.json").write_text(content)
    with pytest.raises(CliError) as error:
        check("a.json")
    assert error.value.exit_code == code


def test_a_file_that_is_no_baseline_is_refused():
    needs("a.json", 1)
    Path("headroom.json").write_text('{"needed_bytes": {"a.json": "much"}}')
    with pytest.raises(CliError, match="--update"):
        check("a.json")


def test_the_github_action_calls_the_command_with_its_options():
    action = yaml.safe_load(ACTION.read_text())
    (script,) = [step["run"] for step in action["runs"]["steps"] if step.get("name") == "Check"]
    options = set(re.findall(r"(--[a-z]+)", script)) | {"--local"}
    shown = CliRunner().invoke(application, ["check", "--help"], env={"COLUMNS": "200"}).stdout
    assert all(option in shown for option in options)
    used = set(re.findall(r"inputs\.([a-z-]+)", ACTION.read_text()))
    assert used == set(action["inputs"])
