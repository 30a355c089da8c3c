import json

import psutil
import torch
import transformers

from profiler import environment
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
