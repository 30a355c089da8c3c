"""The manifests, as they are written and as Kustomize builds them."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2] / "deploy" / "kubernetes"
KUSTOMIZATIONS = sorted(path.parent for path in ROOT.rglob("kustomization.yaml"))
OVERLAYS = [ROOT / "base", *sorted((ROOT / "overlays").iterdir())]
Resource = dict[str, Any]


@cache
def documents(path: Path) -> list[Resource]:
    """The resources of one file."""
    return [document for document in yaml.safe_load_all(path.read_text()) if document]


def resource_files() -> list[Path]:
    """All files of resources."""
    return sorted(path for path in ROOT.rglob("*.yaml") if path.name != "kustomization.yaml")


@cache
def build(overlay: Path) -> list[Resource]:
    """What `kubectl apply -k` would send."""
    if shutil.which("kubectl") is not None:
        command = ["kubectl", "kustomize", str(overlay)]
    elif shutil.which("kustomize") is not None:
        command = ["kustomize", "build", str(overlay)]
    else:
        pytest.skip("needs kubectl or kustomize")
    built = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert built.returncode == 0, built.stderr
    return [document for document in yaml.safe_load_all(built.stdout) if document]


def pods(resources: list[Resource]) -> Iterator[tuple[str, Resource]]:
    """Name of the workload, and its pod template."""
    for resource in resources:
        if "template" in resource.get("spec", {}):
            yield resource["metadata"]["name"], resource["spec"]["template"]


def all_pods() -> list[tuple[str, Resource]]:
    """Those of every file."""
    return [pod for path in resource_files() for pod in pods(documents(path))]


def containers(pod: Resource) -> list[Resource]:
    """First those that prepare, then those that stay."""
    spec = pod["spec"]
    return [*spec.get("initContainers", []), *spec["containers"]]


def matches(selector: Resource, pod: Resource) -> bool:
    """Whether a label selector (of equalities) selects the pod."""
    labels = pod["metadata"]["labels"]
    return all(labels.get(name) == value for name, value in selector.items())
