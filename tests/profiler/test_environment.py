import json

import psutil
import torch
import transformers

from profiler import environment, labels, limits
from profiler.host import cpu_model


def test_it_says_what_moves_the_numbers(monkeypatch):
    monkeypatch.setenv("PYTORCH_CUDA_ALLOC_CONF", "expandable_segments:True")
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    monkeypatch.setenv("MALLOC_ARENA_MAX", "2")
    monkeypatch.setenv("SECRET_KEY", "hidden")
    found = environment.describe("cpu")
    assert found["versions"]["torch"] == torch.__version__
    assert found["versions"]["transformers"] == transformers.__version__
    assert found["threads"] == torch.get_num_threads()
    assert found["host_memory_bytes"] == psutil.virtual_memory().total
    assert found["backends"]["mkldnn"] == torch.backends.mkldnn.is_available()
    assert found["device"]["kind"] == "cpu"
    settings = found["settings"]
    assert settings["PYTORCH_CUDA_ALLOC_CONF"] == "expandable_segments:True"
    assert settings["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    assert settings["MALLOC_ARENA_MAX"] == "2"
    assert "SECRET_KEY" not in settings
    assert json.loads(json.dumps(found)) == found


def test_the_processor_has_a_name():
    assert cpu_model()


def test_labels_of_a_worker():
    found = labels.capabilities()
    assert found["labels"]["device"] in ("cpu", "cuda")
    assert all(isinstance(value, str) for value in found["labels"].values())
    cpu = found["devices"][0]
    assert cpu["kind"] == "cpu"
    assert 0 < cpu["memory_bytes"] == limits.default_memory_bytes() < found["host"]["memory_bytes"]
    assert found["versions"]["torch"].startswith("2.")
    assert json.loads(json.dumps(found)) == found


def test_a_card_makes_it_a_cuda_worker(monkeypatch):
    card = labels.nvml.Gpu(0, "GPU-1", "NVIDIA H100", 85 * 10**9, "9.0", "580.1")
    monkeypatch.setattr(labels.nvml, "gpus", lambda: [card])
    found = labels.capabilities()
    assert found["labels"]["device"] == "cuda"
    assert found["labels"]["device_name"] == "NVIDIA H100"
    assert [device["kind"] for device in found["devices"]] == ["cpu", "cuda"]
    assert found["devices"][1]["memory_bytes"] == 85 * 10**9
