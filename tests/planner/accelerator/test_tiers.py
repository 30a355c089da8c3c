import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from planner.accelerator.tiers import placed, tier_uses
from planner.answers import simulate
from planner.check import check
from planner.devices import BUILTIN, DeviceProfile
from planner.devices.acceltran import CLOCK_HZ, EDGE, SERVER
from planner.errors import InvalidRequest
from planner.predict import predict
from planner.request import SimulationRequest
from planner.tape import Category, OpFlag
from planner.trace import trace
from tests.planner.requests import request
from tests.planner.tapes import tape_of

_WORKING = ("temporaries", "inputs", "buffers", "workspace")
SRAM, RRAM = {"name": "SRAM"}, {"name": "RRAM"}


def device(*placement, tiers=(RRAM, SRAM)):
    return DeviceProfile.model_validate(
        {"name": "test", "tiers": list(tiers), "placement": list(placement)}
    )


@pytest.fixture(scope="module")
def bert():
    return trace(request("bert", "fill-mask"), BUILTIN["cpu"])


def by_name(tape, profile):
    return {use.name: use for use in tier_uses(tape, profile)}


def parameters(tape):
    """Bytes of the parameters by name; the library makes some twice while it builds a model."""
    kept = (tape.storage_category == Category.parameters) & (tape.deaths == len(tape.events))
    return {
        tape.names[tape.storage_name[storage]]: int(tape.storage_bytes[storage])
        for storage in np.flatnonzero(kept)
    }


class TestOccupancy:
    def test_one_tier_for_all_holds_what_the_device_holds(self, bert):
        (use,) = tier_uses(bert, device(tiers=[SRAM]))
        whole = predict(bert, BUILTIN["cpu"])
        assert use.peak_bytes == whole.peak_bytes
        assert use.peak_phase == whole.peak_phase
        assert use.at_peak == whole.at_peak
        assert use.mask_bytes == 0

    def test_so_it_does_on_a_gpu(self):
        gpu = BUILTIN["h100-80gb"].model_copy(update={"tiers": device(tiers=[SRAM]).tiers})
        found = predict(trace(request("bert", "fill-mask"), gpu), gpu)
        assert [use.peak_bytes for use in found.tiers] == [found.peak_bytes]

    def test_categories_are_split_among_tiers(self, bert):
        uses = by_name(bert, device({"categories": ["parameters"], "tier": "RRAM"}))
        whole = predict(bert, BUILTIN["cpu"]).at_peak
        assert uses["RRAM"].peak_bytes == uses["RRAM"].at_peak.parameters == whole.parameters
        assert uses["SRAM"].at_peak.parameters == 0
        assert uses["SRAM"].at_peak.optimizer_state == whole.optimizer_state

    def test_the_first_rule_that_takes_a_tensor_counts(self, bert):
        rule = {"names": ["*embeddings*"], "categories": ["parameters"], "tier": "SRAM"}
        uses = by_name(bert, device(rule, {"categories": ["parameters"], "tier": "RRAM"}))
        embeddings = sum(size for name, size in parameters(bert).items() if "embeddings" in name)
        assert embeddings > 0
        assert uses["SRAM"].at_peak.parameters == embeddings

    def test_bits_and_masks_are_of_floating_point_elements(self):
        tape = tape_of(
            [0, 1, ~0, ~1],
            [400, 80],
            layouts=[("float32", (100,)), ("int64", (10,))],
            tensor_storage=np.array([0, 1], dtype=np.int32),
            tensor_layout=np.array([0, 1], dtype=np.int32),
            tensor_op=np.array([-1, -1], dtype=np.int32),
        )
        rule = {"tier": "RRAM", "encoding": "bitmask", "sparsity": 0.75, "bits": 20}
        uses = by_name(tape, device(rule | {"mask_tier": "SRAM"}))
        # 25 elements of 20 bits, rounded up to bytes, and the integers as they are.
        assert uses["RRAM"].peak_bytes == 63 + 80
        assert uses["SRAM"].peak_bytes == uses["SRAM"].mask_bytes == 13

    def test_a_tier_that_overflows_does_not_fit(self, bert):
        peak = tier_uses(bert, device(tiers=[SRAM]))[0].peak_bytes
        for capacity, fits in ((peak, True), (peak - 1, False)):
            (use,) = tier_uses(bert, device(tiers=[SRAM | {"capacity_bytes": capacity}]))
            assert use.fits is fits


@given(
    st.lists(st.tuples(st.integers(0, 2**20), st.sampled_from(Category)), min_size=1, max_size=12),
    st.sets(st.sampled_from([category.name for category in Category]), min_size=1),
    st.randoms(use_true_random=False),
)
def test_what_tiers_hold_adds_up_to_what_the_device_holds(storages, categories, random):
    alive, events = [], []
    for storage in range(len(storages)):
        events.append(storage)
        alive.append(storage)
        if random.random() < 0.4:
            events.append(~alive.pop(random.randrange(len(alive))))
    sizes = [size for size, _ in storages]
    tape = tape_of(events, sizes, categories=[category for _, category in storages])
    peak = int(tape.live_bytes.max())
    uses = tier_uses(tape, device({"categories": sorted(categories), "tier": "RRAM"}))
    assert max(use.peak_bytes for use in uses) <= peak <= sum(use.peak_bytes for use in uses)
    for use in uses:
        held = use.at_peak.model_dump()
        assert sum(held.values()) == use.peak_bytes
        own = categories if use.name == "RRAM" else {c.name for c in Category} - categories
        assert all(held[name] == 0 for name in held if name not in own)


class TestAdapterAlbert:
    """Adapter-ALBERT (arXiv 2303.16100): a frozen sparse backbone in RRAM, shared by all tasks;
    adapters and activations in SRAM. LoRA's matrices stand for the adapters.
    """

    SPARSITY, BITS = 0.5, 8

    @pytest.fixture
    def tape(self):
        asked = {
            "model": {
                "source": "transformers",
                "task": "text-classification",
                "config": {
                    "model_type": "albert", "vocab_size": 500, "embedding_size": 16,
                    "hidden_size": 64, "num_hidden_layers": 3, "num_attention_heads": 2,
                    "intermediate_size": 128, "num_labels": 2,
                },
                "lora": {"r": 4, "target_modules": ["query", "value"]},
            },
            "workload": {"mode": "inference", "batch_size": 2, "sequence_length": 16},
        }  # fmt: skip
        return trace(check(SimulationRequest.model_validate(asked)), BUILTIN["cpu"])

    def uses(self, tape, tasks):
        adapters = {"names": ["*lora_*"], "tier": "SRAM", "copies": tasks}
        backbone = {
            "categories": ["parameters"], "tier": "RRAM", "encoding": "bitmask",
            "sparsity": self.SPARSITY, "bits": self.BITS,
        }  # fmt: skip
        return by_name(tape, device(adapters, backbone))

    def test_a_task_costs_its_adapters_in_sram_and_nothing_in_rram(self, tape):
        one, many = self.uses(tape, 1), self.uses(tape, 9)
        # Two matrices each of query and value: shared by all three layers, as ALBERT's are.
        adapters = 2 * (64 * 4 + 4 * 64) * 4
        assert one["SRAM"].at_peak.parameters == adapters
        assert many["SRAM"].peak_bytes - one["SRAM"].peak_bytes == 8 * adapters
        assert many["RRAM"] == one["RRAM"]
        assert one["SRAM"].peak_bytes == adapters + sum(
            getattr(one["SRAM"].at_peak, name) for name in _WORKING
        )

    def test_rram_holds_what_is_not_zero_and_a_bit_for_every_element(self, tape):
        rram = self.uses(tape, 1)["RRAM"]
        elements = [size // 4 for name, size in parameters(tape).items() if "lora_" not in name]
        nonzeros = sum(-(-count // 2) for count in elements)
        mask = sum(-(-count // 8) for count in elements)
        assert rram.peak_bytes == nonzeros * self.BITS // 8 + mask
        assert rram.mask_bytes == mask


class TestTraffic:
    def test_each_parameter_is_read_once_however_many_steps_and_uses(self):
        tape = trace(request("gpt2", mode="inference"), BUILTIN["cpu"])
        rram = RRAM | {"read_bandwidth_bytes_per_s": 1e9, "read_joules_per_byte": 1e-12}
        uses = by_name(
            tape, device({"categories": ["parameters"], "tier": "RRAM"}, tiers=[rram, SRAM])
        )
        use = uses["RRAM"]
        # The words' matrix is that of the head too, which reads all of it; of the positions'
        # (1024 x 128) only those of the sequence are gathered.
        assert use.read_bytes == use.peak_bytes - (1024 - 32) * 128 * 4
        assert use.written_bytes == 0
        assert use.seconds == use.read_bytes / 1e9
        assert use.joules is None, "what a write takes is not known"
        assert uses["SRAM"].seconds is None, "no bandwidth is known"

    def test_training_writes_every_parameter(self, bert):
        uses = by_name(bert, device({"categories": ["parameters"], "tier": "RRAM"}))
        assert uses["RRAM"].written_bytes == uses["RRAM"].peak_bytes


def one_op(name, flags=0):
    """A tape of one op that reads a cache of 4000 bytes and 40 bytes more, and writes the cache."""
    return tape_of(
        [0, 1],
        [4000, 40],
        op_events=[2],
        names=[name],
        op_flags=np.array([flags], dtype=np.uint8),
        op_inputs=np.array([0, 1], dtype=np.int32),
        op_inputs_at=np.array([0, 2]),
        op_outputs=np.array([2], dtype=np.int32),
        op_outputs_at=np.array([0, 1]),
        layouts=[("float32", (1000,)), ("float32", (10,))],
        tensor_storage=np.array([0, 1, 0], dtype=np.int32),
        tensor_op=np.array([-1, -1, 0], dtype=np.int32),
        tensor_layout=np.array([0, 1, 0], dtype=np.int32),
    )


@pytest.mark.parametrize(
    ("name", "flags", "read", "written"),
    [
        ("aten.add_", OpFlag.in_place, 4040, 4000),
        ("aten.index_copy_", OpFlag.in_place, 0, 0),  # one token of a static cache
        ("aten.index_copy", 0, 4040, 4000),  # a copy of all of it
        ("aten.view", OpFlag.view, 0, 0),
        ("aten.empty_like", 0, 0, 0),
    ],
)
def test_what_an_op_moves_depends_on_what_it_does(name, flags, read, written):
    (use,) = tier_uses(one_op(name, flags), device(tiers=[SRAM]))
    assert (use.read_bytes, use.written_bytes) == (read, written)


class TestAccelTran:
    def test_the_roofline_is_that_of_all_multipliers(self):
        assert EDGE.peak_flops == 2 * 64 * 16 * 16 * CLOCK_HZ
        assert SERVER.peak_flops == 2 * 512 * 32 * 16 * CLOCK_HZ
        profile = BUILTIN["acceltran-server"]
        assert profile.peak_flops["fp32"] == SERVER.peak_flops
        tape = trace(request("bert", "fill-mask", mode="inference"), BUILTIN["cpu"])
        found = predict(tape, profile, "inference")
        assert found.step_seconds_basis == "roofline"
        assert any("estimate" in limitation for limitation in found.limitations)
        assert found.step_seconds > found.step_flops / SERVER.peak_flops

    def test_weights_of_bert_tiny_fit_and_those_of_berts_base_do_not(self):
        config = {"model_type": "bert", "intermediate_size": 512, "num_attention_heads": 2}
        asked = {
            "model": {"source": "transformers", "task": "fill-mask"},
            "workload": {"mode": "inference", "sequence_length": 128},
            "device": "acceltran-edge",
        }
        for hidden, layers, fits in ((128, 2, True), (768, 12, False)):
            size = {"hidden_size": hidden, "num_hidden_layers": layers}
            asked["model"] = asked["model"] | {"config": config | size}
            found = {use.name: use for use in simulate(asked).tiers}
            assert found["weight-buffer"].fits is fits
            assert found["LP-DDR3"].fits is None, "how much of it there is, is not known"


class TestWrongProfiles:
    @pytest.mark.parametrize(
        ("tiers", "rule"),
        [
            ([SRAM, SRAM], {"tier": "SRAM"}),
            ([SRAM], {"tier": "RRAM"}),
            ([SRAM], {"tier": "SRAM", "encoding": "bitmask", "mask_tier": "RRAM"}),
            ([SRAM], {"tier": "SRAM", "sparsity": 0.5}),
        ],
    )
    def test_contradictions_are_refused(self, tiers, rule):
        with pytest.raises(ValidationError):
            device(rule, tiers=tiers)

    def test_a_requests_placement_stands_before_the_profiles(self):
        rule = {"tier": "DRAM"}
        asked = {
            "model": {"source": "preset", "name": "bert-base"},
            "device": "acceltran-edge",
            "placement": [rule],
        }
        request_ = SimulationRequest.model_validate(asked)
        with pytest.raises(InvalidRequest, match="no tier 'DRAM'"):
            placed(BUILTIN["acceltran-edge"], request_.placement)
        asked["placement"] = [{"tier": "LP-DDR3"}]
        request_ = SimulationRequest.model_validate(asked)
        changed = placed(BUILTIN["acceltran-edge"], request_.placement)
        assert [rule.tier for rule in changed.placement] == ["LP-DDR3"]
