"""Files for other tools, read back by those tools' own parsers where they have one in Python."""

from __future__ import annotations

import csv
import io
import json
import pickle

import numpy as np
import pyarrow.parquet
import pytest
from torch.cuda import _memory_viz

from planner.devices import BUILTIN
from planner.export.chrome_trace import chrome_trace
from planner.export.memory_snapshot import memory_snapshot
from planner.export.table import COLUMNS, columns, write_csv, write_parquet
from planner.request import SimulationRequest
from planner.simulation import simulate
from planner.trace import trace
from tests.planner.tapes import tape_of

REQUEST = {
    "model": {
        "source": "transformers",
        "config": {"model_type": "gpt2", "n_layer": 2, "n_embd": 32, "n_head": 2, "vocab_size": 64},
    },
    "workload": {"batch_size": 2, "sequence_length": 16},
}


@pytest.fixture(scope="module")
def tape():
    return trace(SimulationRequest.model_validate(REQUEST), BUILTIN["cpu"])


class TestTable:
    def test_each_storage_is_a_row_and_the_peak_adds_up(self, tape):
        rows = list(csv.DictReader(io.StringIO(write_csv(tape).decode())))
        assert tuple(rows[0]) == COLUMNS
        assert len(rows) == (tape.events >= 0).sum()
        at_peak = sum(int(row["bytes"]) for row in rows if row["at_peak"] == "True")
        assert at_peak == simulate(tape).peak_bytes
        firsts = [int(row["first_event"]) for row in rows]
        assert firsts == sorted(firsts)

    def test_a_parameter_has_its_name_and_shape(self, tape):
        rows = csv.DictReader(io.StringIO(write_csv(tape).decode()))
        found = {row["name"]: row for row in rows if row["category"] == "parameters"}
        weight = found["transformer.wte.weight"]
        assert (weight["dtype"], weight["shape"], weight["bytes"]) == ("float32", "64x32", "8192")
        assert weight["end_event"] == ""

    def test_parquet_has_the_same_rows_with_types(self, tape):
        table = pyarrow.parquet.read_table(io.BytesIO(write_parquet(tape)))
        assert table.to_pydict() == columns(tape)
        assert str(table.schema.field("bytes").type) == "int64"


class TestChromeTrace:
    def test_slices_of_a_thread_nest(self, tape):
        events = json.loads(chrome_trace(tape))["traceEvents"]
        # Viewers differ in what they can do without; these all of them know.
        assert all(
            {"ph", "cat", "pid", "tid", "name", "ts", "args"} <= set(each) for each in events
        )
        slices = [event for event in events if event["ph"] == "X"]
        for thread in (1, 2, 3):
            open_ = []
            own = [event for event in slices if event["tid"] == thread]
            assert own
            for event in sorted(own, key=lambda event: (event["ts"], -event["dur"])):
                assert event["dur"] > 0
                while open_ and open_[-1] <= event["ts"]:
                    open_.pop()
                end = event["ts"] + event["dur"]
                assert not open_ or end <= open_[-1]
                open_.append(end)

    def test_modules_enclose_their_parts(self, tape):
        events = json.loads(chrome_trace(tape))["traceEvents"]
        names = {event["name"] for event in events if event.get("tid") == 2}
        assert {"transformer.h.0", "transformer.h.0.attn", "lm_head"} <= names

    def test_counters_reach_the_peak_in_order(self, tape):
        events = json.loads(chrome_trace(tape))["traceEvents"]
        counters = [event for event in events if event["ph"] == "C"]
        assert max(sum(event["args"].values()) for event in counters) == simulate(tape).peak_bytes
        times = [event["ts"] for event in counters]
        assert times == sorted(times)
        assert times[-1] < tape.op_count

    def test_reserved_bytes_are_a_counter_of_their_own(self):
        tape = tape_of([0, 1, ~0], [10, 20], op_events=[0], reserved_bytes=np.array([32, 64, 64]))
        events = json.loads(chrome_trace(tape))["traceEvents"]
        held = [each["args"]["bytes"] for each in events if each["name"] == "reserved bytes"]
        assert held == [32, 64, 64]


class TestMemorySnapshot:
    def test_torchs_own_tools_read_it(self, tape):
        snapshot = pickle.loads(memory_snapshot(tape))
        assert "snapshot.pickle" in _memory_viz.trace_plot(snapshot)
        assert "snapshot.pickle" in _memory_viz.segment_plot(snapshot)
        assert "TOTAL MEM" in _memory_viz.trace(snapshot)
        lines = _memory_viz.memory(snapshot, format_flamegraph=str)
        assert "transformer.wte.weight" in lines

    def test_every_allocation_is_in_the_history(self, tape):
        (history,) = pickle.loads(memory_snapshot(tape))["device_traces"]
        births = [event for event in tape.events.tolist() if event >= 0]
        allocated = [entry for entry in history if entry["action"] == "alloc"]
        assert [entry["size"] for entry in allocated] == [
            tape.storage_bytes[birth] for birth in births if tape.storage_bytes[birth]
        ]
        assert all(entry["frames"] for entry in allocated)
        askers = {entry["frames"][0]["name"] for entry in allocated}
        assert "aten.addmm in transformer.h.1.attn.c_attn" in askers
        kept = [birth for birth in births if tape.deaths[birth] >= len(tape.events)]
        segments = pickle.loads(memory_snapshot(tape))["segments"]
        left = sum(segment["requested_size"] for segment in segments)
        assert left == sum(int(tape.storage_bytes[birth]) for birth in kept)

    def test_it_holds_nothing_but_data(self, tape):
        class Plain(pickle.Unpickler):
            def find_class(self, module, name):
                raise AssertionError(f"{module}.{name}")

        assert Plain(io.BytesIO(memory_snapshot(tape))).load()
