"""What can be checked of CUDA measuring without a card, and all of it where there is one."""

from types import SimpleNamespace

import pytest
import torch

from profiler import measure_cuda, nvml
from profiler.measure_cuda import (
    AllocatorPhases,
    DriverBytes,
    device_memory_errors,
    to_timeline,
)
from profiler.outcome import RunOutOfMemory

needs_gpu = pytest.mark.skipif(
    not torch.cuda.is_available(), reason="NOT CHECKED: no CUDA device here; run on a GPU host"
)
MIB = 2**20


class FakeAllocator:
    """The statistics of `torch.cuda` that the phases read, driven by hand."""

    def __init__(self, monkeypatch):
        self.current = self.peak = 0
        for name in ("memory_stats", "memory_allocated", "reset_peak_memory_stats", "synchronize"):
            monkeypatch.setattr(torch.cuda, name, getattr(self, name))

    def use(self, delta):
        self.current += delta
        self.peak = max(self.peak, self.current)

    def memory_allocated(self):
        return self.current

    def memory_stats(self):
        return {
            "allocated_bytes.all.peak": self.peak,
            "reserved_bytes.all.peak": 2 * self.peak,
            "requested_bytes.all.peak": self.peak - 1,
        }

    def reset_peak_memory_stats(self):
        self.peak = self.current

    def synchronize(self):
        pass


class FakeDriver:
    notes = ()

    def now(self):
        return 777


@pytest.fixture
def allocator(monkeypatch):
    return FakeAllocator(monkeypatch)


def test_phases_read_and_reset_the_peaks(allocator):
    heard = []
    phases = AllocatorPhases(heard.append, FakeDriver())
    allocator.use(500)
    allocator.use(-400)  # building: what it leaves counts, its own peak does not
    phases.start()
    phases.enter("step0.forward")
    allocator.use(50)
    allocator.use(-20)
    phases.exit("step0.forward")
    phases.enter("step0.backward")
    allocator.use(10)
    phases.exit("step0.backward")
    measured = phases.measured()
    assert measured.start_bytes == 100
    assert [(p.name, p.peak_bytes, p.end_bytes) for p in measured.phases] == [
        ("step0.forward", 150, 130),
        ("step0.backward", 140, 140),
    ]
    assert (measured.peak_bytes, measured.peak_phase) == (150, "step0.forward")
    assert measured.reserved_bytes == 300
    assert measured.requested_bytes == 149
    assert measured.device_bytes == 777
    assert [phase.device_bytes for phase in measured.phases] == [777, 777]
    assert [message["phase"] for message in heard] == ["step0.forward", "step0.backward"]
    assert phases.seconds_of_last_step() >= 0


def test_a_peak_between_two_phases_counts(allocator):
    phases = AllocatorPhases(lambda message: None, FakeDriver())
    phases.start()
    phases.enter("a")
    phases.exit("a")
    allocator.use(900)
    allocator.use(-900)
    phases.enter("b")
    phases.exit("b")
    assert phases.measured().peak_bytes == 900


def test_the_history_becomes_a_timeline():
    trace = [
        {"action": "segment_alloc", "addr": 0, "size": 2 * MIB, "time_us": 10},
        {"action": "alloc", "addr": 0, "size": 100, "time_us": 11},
        {"action": "alloc", "addr": 512, "size": 50, "time_us": 12},
        {"action": "free_requested", "addr": 0, "size": 100, "time_us": 13},
        {"action": "free_completed", "addr": 0, "size": 100, "time_us": 13},
    ]
    timeline = to_timeline(trace, [("step0.forward", 11_500, 20_000)])
    assert timeline.live_bytes.tolist() == [100, 150, 50]
    assert timeline.time_ns.tolist() == [0, 1000, 2000]
    assert timeline.phases == [("step0.forward", 500, 9000)]
    assert timeline.reserved_bytes.tolist() == [2 * MIB] * 3


def test_segments_that_grow_and_go_back_count_as_reserved():
    trace = [
        {"action": "segment_map", "addr": 0, "size": 4 * MIB, "time_us": 1},
        {"action": "alloc", "addr": 0, "size": 3 * MIB, "time_us": 2},
        {"action": "free_requested", "addr": 0, "size": 3 * MIB, "time_us": 3},
        {"action": "segment_unmap", "addr": 0, "size": 2 * MIB, "time_us": 4},
        {"action": "segment_free", "addr": 0, "size": 2 * MIB, "time_us": 4},
        {"action": "segment_alloc", "addr": 0, "size": 20 * MIB, "time_us": 5},
        {"action": "alloc", "addr": 0, "size": 5 * MIB, "time_us": 5},
    ]
    timeline = to_timeline(trace, [])
    assert timeline.live_bytes.tolist() == [3 * MIB, 0, 5 * MIB]
    assert timeline.reserved_bytes.tolist() == [4 * MIB, 4 * MIB, 20 * MIB]


def test_an_empty_history():
    assert to_timeline([], []).live_bytes.tolist() == []


class TestDriverBytes:
    @pytest.fixture
    def driver(self, monkeypatch):
        monkeypatch.setattr(nvml, "used_bytes", lambda: {"GPU-1": 1000})
        monkeypatch.setattr(nvml, "process_bytes", lambda uuid, pid: None)
        monkeypatch.setattr(torch.cuda, "memory_reserved", lambda: 200)
        driver = DriverBytes()
        driver._uuid = "GPU-1"
        return driver

    def test_the_process_is_known_to_the_driver(self, driver, monkeypatch):
        monkeypatch.setattr(nvml, "process_bytes", lambda uuid, pid: 300)
        assert (driver.now(), driver.notes) == (300, [])

    def test_a_stranger_has_our_process_id(self, driver, monkeypatch):
        monkeypatch.setattr(nvml, "process_bytes", lambda uuid, pid: 100)
        monkeypatch.setattr(nvml, "used_bytes", lambda: {"GPU-1": 1500})
        assert driver.now() == 500
        assert "whole card" in driver.notes[0]

    def test_nobody_answers(self, driver, monkeypatch):
        monkeypatch.setattr(nvml, "used_bytes", dict)
        assert driver.now() is None
        assert driver.now() is None
        assert len(driver.notes) == 1


def test_a_refusal_of_the_allocator_names_the_devices_memory(monkeypatch):
    properties = SimpleNamespace(total_memory=80 * 2**30)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda: properties)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda: 70 * 2**30)
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda: 75 * 2**30)
    with pytest.raises(RunOutOfMemory) as caught, device_memory_errors():
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB.\nlong advice")
    assert caught.value.detail == "CUDA out of memory. Tried to allocate 20 GiB."
    assert caught.value.extra == {
        "limit_bytes": 80 * 2**30,
        "allocated_bytes": 70 * 2**30,
        "reserved_bytes": 75 * 2**30,
    }


def test_other_errors_of_a_run_pass_through():
    with pytest.raises(ValueError, match="shape"), device_memory_errors():
        raise ValueError("shape")


def test_without_a_driver_there_are_no_cards(monkeypatch):
    def refuse():
        raise nvml.pynvml.NVMLError(nvml.pynvml.NVML_ERROR_LIBRARY_NOT_FOUND)

    monkeypatch.setattr(nvml.pynvml, "nvmlInit", refuse)
    assert nvml.gpus() == []
    assert nvml.used_bytes() == {}
    assert nvml.process_bytes("GPU-1", 1) is None


@needs_gpu
def test_a_measured_workload_on_a_real_card():
    def build():
        parameter = torch.nn.Parameter(torch.ones(MIB, device="cuda"))

        def step(hooks, steps):
            hooks.enter("step0.forward")
            loss = (parameter * 2).sum()
            hooks.exit("step0.forward")
            hooks.enter("step0.backward")
            loss.backward()
            del loss
            hooks.exit("step0.backward")
            parameter.grad = None

        return step

    measured, timeline = measure_cuda.measure(
        build, on_progress=lambda message: None, timing_budget_seconds=10.0
    )
    assert measured.start_bytes == 4 * MIB
    assert measured.phases[0].peak_bytes >= 8 * MIB
    assert measured.phases[1].end_bytes == pytest.approx(8 * MIB, abs=4096)
    assert measured.reserved_bytes >= measured.peak_bytes
    assert measured.device_bytes >= measured.reserved_bytes
    assert timeline.live_bytes.max() == pytest.approx(measured.peak_bytes, rel=0.01)
    assert len(measured.step_seconds_samples) >= 3
