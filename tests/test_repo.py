"""What is true of the repository as a whole: examples, documents, containers, what is committed."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.version import Version

from app.cli.commands.demo import REQUEST as DEMO_REQUEST
from app.settings import Settings
from planner.check import check, check_plan
from planner.designs.check import check_design_search
from planner.designs.request import DesignSearchRequest
from planner.devices import BUILTIN
from planner.plans import PlanRequest
from planner.quantities import format_bytes
from planner.request import SimulationRequest

ROOT = Path(__file__).parent.parent
EXAMPLES = sorted((ROOT / "examples").glob("*.json"))


def committed_files():
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listing = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True
    )
    return [ROOT / name for name in listing.stdout.split("\0") if name]


DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/*.md")])


@pytest.fixture(scope="module")
def services():
    return yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]


@pytest.fixture(scope="module")
def pins():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pinned = [Requirement(line) for line in lines if line and not line.startswith("#")]
    return {pin.name.lower().replace("_", "-"): pin for pin in pinned}


class TestExamples:
    @pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
    def test_each_example_is_a_request_that_the_service_takes(self, path):
        body = json.loads(path.read_text())
        if path.stem.endswith("-plan"):
            request = check_plan(PlanRequest.model_validate(body))
        elif path.stem == "design-search":
            request = check_design_search(DesignSearchRequest.model_validate(body))
        else:
            request = check(SimulationRequest.model_validate(body))
        kind = path.stem.rpartition("-")[2]
        source = kind if kind in ("layers", "architecture") else "transformers"
        assert request.model.source == source

    def test_the_list_of_examples_names_each_of_them(self):
        text = (ROOT / "examples" / "README.md").read_text()
        assert (
            re.findall(r"^\| `(.+\.json)` \|", text, re.M).sort()
            == sorted(path.name for path in EXAMPLES).sort()
        )

    def test_the_demo_asks_what_its_example_says(self):
        example = json.loads((ROOT / "examples" / "gpt2-train.json").read_text())
        assert example == DEMO_REQUEST


class TestDocuments:
    @pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
    def test_every_relative_link_leads_somewhere(self, document):
        targets = re.findall(r"\]\(([^)#]+)[^)]*\)", document.read_text())
        missing = [
            target
            for target in targets
            if not re.match(r"[a-z]+:", target) and not (document.parent / target).exists()
        ]
        assert missing == []

    def test_the_settings_table_is_that_of_the_settings(self):
        text = (ROOT / "docs" / "operations.md").read_text()
        table = text.split("<!-- settings")[1].split("<!-- /settings -->")[0]
        rows = dict(re.findall(r"^\| `HEADROOM_(\w+)` \| (.+?) \|", table, re.M))
        assert list(rows) == [name.upper() for name in Settings.model_fields]
        for name, field in Settings.model_fields.items():
            if isinstance(field.default, int | float):
                is_bytes = name.endswith("_bytes")
                expected = format_bytes(field.default) if is_bytes else str(field.default)
                assert rows[name.upper()].strip("`") == expected.replace(".00", ""), name

    def test_the_table_of_devices_is_that_of_the_profiles(self):
        text = (ROOT / "docs" / "devices.md").read_text()
        table = text.split("<!-- devices")[1].split("<!-- /devices -->")[0]
        rows = re.findall(r"^\| `(.+?)` \| `(.+?)` \| (\d+) \| (\d+) \| (\d+) \|", table, re.M)
        gpus = [profile for profile in BUILTIN.values() if profile.kind == "cuda"]
        assert rows == [
            (
                profile.name,
                profile.architecture,
                str(profile.memory_bytes),
                str(profile.multiprocessors),
                str(profile.l2_cache_bytes // 2**20),
            )
            for profile in gpus
        ]
        for profile in gpus:
            for key, peak in profile.peak_flops.items():
                (row,) = (line for line in table.splitlines() if f"`{profile.name}`" in line)
                assert f"{key} {peak / 1e12:g}" in row


class TestContainers:
    def test_api_and_workers_wait_for_the_migration(self, services):
        for name in ("api", "worker", "gpu-worker"):
            conditions = services[name]["depends_on"]
            assert conditions["migrate"]["condition"] == "service_completed_successfully"
        assert services["migrate"]["depends_on"]["postgres"]["condition"] == "service_healthy"
        assert "pg_isready" in services["postgres"]["healthcheck"]["test"][1]

    def test_every_service_of_ours_uses_the_same_database_and_keeps_no_privileges(self, services):
        ours = [service for service in services.values() if "headroom:" in service["image"]]
        assert len({service["environment"]["HEADROOM_DATABASE_URL"] for service in ours}) == 1
        assert all(service["cap_drop"] == ["ALL"] for service in ours)

    def test_the_gpu_worker_is_only_there_when_asked_for(self, services):
        assert services["gpu-worker"]["profiles"] == ["gpu"]
        assert all("profiles" not in services[name] for name in ("api", "worker", "postgres"))

    @pytest.mark.parametrize("service", ["migrate", "api", "worker", "gpu-worker"])
    def test_each_command_is_one_that_the_command_line_knows(self, services, service):
        from typer.testing import CliRunner

        from app.cli.application import application

        command = [*services[service]["command"], "--help"]
        assert CliRunner().invoke(application, command).exit_code == 0

    def test_no_secret_is_written_down(self):
        text = (ROOT / "docker-compose.yml").read_text()
        assert "${POSTGRES_PASSWORD:?" in text
        assert not re.search(r"PASSWORD: (?!\$\{)\S", text)

    def test_the_image_drops_root_and_ignores_what_it_does_not_need(self):
        dockerfile = (ROOT / "Dockerfile").read_text()
        last_stage = dockerfile.rpartition("\nFROM ")[2]
        assert re.search(r"^USER \d+$", last_stage, re.M)
        assert "HEALTHCHECK" in last_stage
        copied = re.findall(r"^COPY (?!--from)(.+) \S+$", dockerfile, re.M)
        ignore = (ROOT / ".dockerignore").read_text().splitlines()
        for sources in copied:
            for source in sources.split():
                assert (ROOT / source).exists(), source
                assert f"!{source}" in ignore, source


class TestDependencies:
    def test_every_dependency_is_pinned_to_one_version_that_it_admits(self, pins):
        project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
        wanted = project["dependencies"] + project["optional-dependencies"]["dev"]
        for requirement in map(Requirement, wanted):
            pin = pins[requirement.name.lower().replace("_", "-")]
            (exact,) = pin.specifier
            assert exact.operator == "=="
            assert requirement.specifier.contains(Version(exact.version)), requirement

    def test_no_local_version_is_pinned(self, pins):
        # A local build, such as torch's `+cpu`, is not to be had from every index.
        assert not [str(pin) for pin in pins.values() if "+" in str(pin)]


class TestCommitted:
    def test_no_host_of_a_package_registry_is_named(self):
        hosts = ["pypi" + ".org", "python" + "hosted.org", "download.py" + "torch.org"]
        hosts += ["registry.npm" + "js.org", "deb.debian" + ".org"]
        found = [
            (str(path.relative_to(ROOT)), host)
            for path in committed_files()
            if path.is_file()
            for host in hosts
            if host.encode() in path.read_bytes()
        ]
        assert found == []

    def test_ci_can_be_executed(self):
        assert os.access(ROOT / ".ci" / "run", os.X_OK)

    def test_the_ci_script_is_valid_shell(self):
        subprocess.run(["bash", "-n", str(ROOT / ".ci" / "run")], check=True)

    def test_python_files_stay_readable_in_size(self):
        long = {
            str(path.relative_to(ROOT)): lines
            for package in ("app", "planner", "profiler")
            for path in (ROOT / package).rglob("*.py")
            if (lines := len(path.read_text().splitlines())) > 450
        }
        assert long == {}
