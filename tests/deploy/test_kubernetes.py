from __future__ import annotations

import re
from pathlib import Path

import kubernetes_validate
import pytest
import yaml
from typer.testing import CliRunner

from app.cli.application import application
from app.main import create_app
from app.server import _GRACE_S
from app.settings import Settings
from planner.quantities import parse_bytes
from tests.deploy.kubernetes import (
    KUSTOMIZATIONS,
    OVERLAYS,
    ROOT,
    all_pods,
    build,
    containers,
    documents,
    matches,
    pods,
    resource_files,
)

VERSION = "1.37"
REPOSITORY = ROOT.parents[1]
#: Of a custom resource there is no schema at hand.
CUSTOM = {"ServiceMonitor"}
OURS = [(name, pod) for name, pod in all_pods() if name.startswith("headroom")]
#: Variables that the command line reads as a client.
OF_CLIENTS = {"SERVER", "API_KEY"}


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def literals() -> dict[str, str]:
    """Every setting that a generated ConfigMap holds."""
    found = {}
    for folder in KUSTOMIZATIONS:
        kustomization = yaml.safe_load((folder / "kustomization.yaml").read_text())
        for generator in kustomization.get("configMapGenerator", []):
            found.update(literal.split("=", 1) for literal in generator["literals"])
    return found


def main_container(name: str):
    ((pod,),) = ([pod for found, pod in OURS if found == name],)
    return pod, pod["spec"]["containers"][0]


class TestKubernetes:
    @pytest.mark.parametrize("path", resource_files(), ids=named)
    def test_each_file_is_valid_by_the_schemas_of_kubernetes(self, path):
        for resource in documents(path):
            if resource["kind"] not in CUSTOM:
                kubernetes_validate.validate(resource, VERSION, strict=True)

    @pytest.mark.parametrize("folder", KUSTOMIZATIONS, ids=named)
    def test_each_kustomization_names_its_files_and_all_of_them(self, folder):
        kustomization = yaml.safe_load((folder / "kustomization.yaml").read_text())
        references = [*kustomization["resources"], *kustomization.get("components", [])]
        assert all((folder / reference).exists() for reference in references)
        files = {path.name for path in folder.glob("*.yaml")} - {"kustomization.yaml"}
        assert files <= set(kustomization["resources"])

    @pytest.mark.parametrize("overlay", OVERLAYS, ids=named)
    def test_what_kustomize_builds_is_valid_and_hangs_together(self, overlay):
        built = build(overlay)
        for resource in built:
            kubernetes_validate.validate(resource, VERSION, strict=True)
        templates = [pod for _, pod in pods(built)]
        for resource in built:
            spec = resource.get("spec", {})
            selector = spec.get("selector", spec.get("podSelector", {}))
            selector = selector.get("matchLabels", selector)
            if resource["kind"] not in ("Job", "Ingress", "Namespace"):
                assert any(matches(selector, pod) for pod in templates), resource["metadata"]
        maps = {r["metadata"]["name"] for r in built if r["kind"] == "ConfigMap"}
        used = [
            source["configMapRef"]["name"]
            for pod in templates
            for container in containers(pod)
            for source in container.get("envFrom", [])
        ]
        assert set(used) == maps

    @pytest.mark.parametrize("overlay", OVERLAYS, ids=named)
    def test_pods_of_others_are_selected_by_their_own_labels_only(self, overlay):
        dns = [
            peer["podSelector"]["matchLabels"]
            for resource in build(overlay)
            if resource["kind"] == "NetworkPolicy"
            for rule in resource["spec"].get("egress", [])
            for peer in rule.get("to", [])
        ]
        assert dns == [{"k8s-app": "kube-dns"}]


class TestPods:
    @pytest.mark.parametrize(("name", "pod"), all_pods(), ids=lambda value: str(value)[:20])
    def test_no_pod_has_more_rights_than_it_needs(self, name, pod):
        spec = pod["spec"]
        assert spec["automountServiceAccountToken"] is False
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in containers(pod):
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert {"cpu", "memory"} <= set(container["resources"]["requests"])
            assert "memory" in container["resources"]["limits"]

    @pytest.mark.parametrize(("name", "pod"), OURS, ids=lambda value: str(value)[:20])
    def test_ours_run_as_the_images_user_and_write_where_it_may(self, name, pod):
        dockerfile = (REPOSITORY / "Dockerfile").read_text()
        (user,) = re.findall(r"^USER (\d+)$", dockerfile, re.M)
        (data,) = re.findall(r"HEADROOM_DATA_DIR=(\S+)", dockerfile)
        assert pod["spec"]["securityContext"]["runAsUser"] == int(user)
        # The variables of Service links would be taken for settings.
        assert pod["spec"]["enableServiceLinks"] is False
        writable = {volume["name"] for volume in pod["spec"]["volumes"] if "emptyDir" in volume}
        for container in containers(pod):
            mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
            assert set(mounts) == {data, "/tmp"}
            assert set(mounts.values()) <= writable

    def test_images_are_those_of_the_compose_file(self):
        services = yaml.safe_load((REPOSITORY / "docker-compose.yml").read_text())["services"]
        composed = {services[name]["image"] for name in ("api", "gpu-worker", "postgres")}
        assert {c["image"] for _, pod in all_pods() for c in containers(pod)} == composed


class TestCode:
    def test_each_variable_is_a_setting_with_a_value_that_it_takes(self, monkeypatch):
        variables = {
            variable["name"]
            for _, pod in OURS
            for container in containers(pod)
            for variable in container.get("env", [])
        } | set(literals())
        ours = {name.removeprefix("HEADROOM_") for name in variables if name.startswith("HEADROOM")}
        assert ours - OF_CLIENTS <= {name.upper() for name in Settings.model_fields}
        assert variables - {f"HEADROOM_{name}" for name in ours} == {"POD_NAME"}
        for name, value in literals().items():
            monkeypatch.setenv(name, value)
        Settings()

    @pytest.mark.parametrize(
        "name",
        [
            "headroom-migrate",
            "headroom-api",
            "headroom-worker",
            "headroom-gpu-worker",
        ],
    )
    def test_each_command_is_one_that_the_command_line_knows(self, name):
        _, container = main_container(name)
        answer = CliRunner().invoke(application, [*container["args"], "--help"])
        assert answer.exit_code == 0, answer.output

    def test_pods_that_wait_for_the_schema_ask_a_command_that_exists(self):
        waiting = [c for _, pod in OURS for c in pod["spec"].get("initContainers", [])]
        assert len(waiting) == 2
        for container in waiting:
            assert "until headroom db status;" in container["command"][2]
        assert CliRunner().invoke(application, ["db", "status", "--help"]).exit_code == 0

    def test_probes_ask_what_the_service_answers_where_it_listens(self):
        _, api = main_container("headroom-api")
        paths = create_app(Settings(database_url="sqlite:////nowhere/x.db")).openapi()["paths"]
        (port,) = api["ports"]
        assert api["args"][api["args"].index("--port") + 1] == str(port["containerPort"])
        assert f"EXPOSE {port['containerPort']}" in (REPOSITORY / "Dockerfile").read_text()
        probes = {kind: api[f"{kind}Probe"]["httpGet"] for kind in ("startup", "readiness")}
        probes["liveness"] = api["livenessProbe"]["httpGet"]
        for probe in probes.values():
            assert probe["path"] in paths
            assert probe["port"] == port["name"]
        # A database that is away is no reason to start the process again.
        assert probes["liveness"]["path"] == "/healthz"
        assert probes["readiness"]["path"] == "/readyz"

    def test_a_pod_has_the_time_to_end_its_requests(self):
        pod, api = main_container("headroom-api")
        before = api["lifecycle"]["preStop"]["sleep"]["seconds"]
        assert pod["spec"]["terminationGracePeriodSeconds"] > before + _GRACE_S

    def test_a_job_is_out_of_memory_before_its_worker_is(self):
        _, worker = main_container("headroom-worker")
        limit = parse_bytes(worker["resources"]["limits"]["memory"] + "B")
        for name in ("HEADROOM_SIMULATION_MEMORY_BYTES", "HEADROOM_RUN_MEMORY_BYTES"):
            assert parse_bytes(literals()[name]) < limit

    def test_the_ingress_waits_longer_than_the_longest_wait(self):
        ingress = documents(ROOT / "components" / "ingress" / "ingress.yaml")[0]
        annotations = ingress["metadata"]["annotations"]
        seconds = int(annotations["nginx.org/proxy-read-timeout"].removesuffix("s"))
        assert seconds > Settings.model_fields["max_wait_s"].default

    def test_a_gpu_worker_has_one_card_and_never_the_database(self):
        pod, worker = main_container("headroom-gpu-worker")
        assert worker["resources"]["limits"]["nvidia.com/gpu"] == "1"
        assert "DATABASE" not in yaml.safe_dump(pod)

    def test_every_secret_is_one_that_the_documentation_makes(self):
        text = (REPOSITORY / "docs" / "kubernetes.md").read_text()
        wanted = {
            variable["valueFrom"]["secretKeyRef"]["name"]
            for _, pod in all_pods()
            for container in containers(pod)
            for variable in container.get("env", [])
            if "secretKeyRef" in variable.get("valueFrom", {})
        }
        made = set(re.findall(r"create secret generic (\S+)", text))
        assert wanted <= made
