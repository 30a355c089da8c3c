import psutil
import pytest

from profiler import limits
from profiler.limits import DEFAULT_HOST_SHARE, Limits


def test_defaults_are_a_share_of_the_host():
    host = limits.host_memory_bytes()
    assert 0 < host <= psutil.virtual_memory().total
    assert Limits().resolved().memory_bytes == int(host * DEFAULT_HOST_SHARE)
    assert Limits(memory_bytes=5).resolved() == Limits(memory_bytes=5)


def test_a_containers_limit_is_the_hosts(tmp_path, monkeypatch):
    bound, unbound = tmp_path / "bound", tmp_path / "unbound"
    bound.write_text("123456\n")
    unbound.write_text("max\n")
    monkeypatch.setattr(limits, "_CGROUP_LIMITS", (str(bound), str(unbound), "/no/such/file"))
    assert limits.host_memory_bytes() == 123456


def test_a_process_gets_room_beside_its_tensors_but_never_the_whole_host():
    asked = 2**30
    if limits.host_memory_bytes() < 4 * asked:
        pytest.skip("NOT CHECKED: the host has less than 4 GiB")
    assert asked < Limits(memory_bytes=asked).process_bytes < 2 * asked
    assert Limits(memory_bytes=2**60).process_bytes < limits.host_memory_bytes()


def test_json_and_back():
    original = Limits(wall_seconds=1.5, memory_bytes=7, timing_budget_seconds=0)
    assert Limits(**original.to_json()) == original
