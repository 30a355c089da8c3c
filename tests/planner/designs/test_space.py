import pytest

from planner.designs.check import check_design_search
from planner.designs.request import DesignSearchRequest
from planner.designs.space import DesignSpace
from planner.errors import InvalidRequest
from tests.planner.designs.spaces import BERT, asked


def space_of(**fields):
    request = check_design_search(DesignSearchRequest.model_validate(BERT | fields))
    return DesignSpace.of(request)


def pointers(error):
    return [each.pointer for each in error.value.errors]


class TestSpace:
    def test_each_combination_is_a_design(self):
        space = DesignSpace.of(asked())
        assert space.size == 5 * 2 * 3 * 2
        assert len({str(space.choices(design)) for design in range(space.size)}) == space.size

    def test_a_design_is_the_request_with_its_choices(self):
        space = space_of(
            vary=[
                {"pointer": "/device", "values": ["cpu", "t4"]},
                {"pointer": "/workload/batch_size", "values": [1, 2, 4]},
                {
                    "pointer": "/model/config/hidden_size",
                    "also": ["/model/config/intermediate_size"],
                    "values": [96, 192],
                },
            ]
        )
        body = space.body(space.size - 1)
        assert (body["device"], body["workload"]["batch_size"]) == ("t4", 4)
        assert body["model"]["config"]["hidden_size"] == 192
        assert body["model"]["config"]["intermediate_size"] == 192
        assert space.base["workload"]["batch_size"] == 4, "the base stays as it is"

    def test_numbers_are_scaled_logarithms_and_names_are_apart(self):
        space = space_of(
            vary=[
                {"pointer": "/workload/batch_size", "values": [1, 2, 4]},
                {"pointer": "/device", "values": ["cpu", "t4"]},
            ]
        )
        features = space.features()
        assert features[::2, 0].tolist() == pytest.approx([0, 0.5, 1])
        assert ((features[0] - features[1]) ** 2).sum() == pytest.approx(1)

    def test_outside_of_what_was_seen_is_extrapolated(self):
        space = space_of(
            vary=[
                {"pointer": "/workload/batch_size", "values": [1, 2, 4, 8]},
                {"pointer": "/device", "values": ["cpu", "t4"]},
            ]
        )
        number = {tuple(space.choices(d).values()): d for d in range(space.size)}
        seen = [number[1, "cpu"], number[4, "cpu"]]
        assert not space.extrapolates(number[2, "cpu"], seen)
        assert space.extrapolates(number[8, "cpu"], seen)
        assert space.extrapolates(number[2, "t4"], seen)
        assert space.extrapolates(number[2, "cpu"], [])


class TestCheck:
    def test_sizes_become_axes_under_the_models_own_names(self):
        request = check_design_search(
            DesignSearchRequest.model_validate(
                {
                    "model": {"source": "transformers", "config": {"model_type": "gpt2"}},
                    "transformer": {"hidden": [96, 192], "layers": [1, 2]},
                }
            )
        )
        assert [axis.pointer for axis in request.vary] == [
            "/model/config/n_embd",
            "/model/config/n_layer",
        ]
        assert request.transformer is None

    def test_devices_are_those_of_the_axis_or_the_one(self):
        assert asked().devices == ["cpu"]
        axis = {"pointer": "/device", "values": ["cpu", "t4"]}
        assert asked(vary=[axis]).devices == ["cpu", "t4"]

    @pytest.mark.parametrize(
        ("fields", "pointer"),
        [
            ({}, "/vary"),
            ({"vary": [{"pointer": "/model/lora/r", "values": [1, 2]}]}, "/vary"),
            (
                {
                    "vary": [
                        {"pointer": "/workload", "values": [{}]},
                        {"pointer": "/workload/batch_size", "values": [1]},
                    ]
                },
                "/vary",
            ),
            (
                {
                    "vary": [
                        {"pointer": f"/workload/{name}", "values": [*range(1, 65)]}
                        for name in ("batch_size", "sequence_length", "target_length")
                    ]
                },
                "/vary",
            ),
            (
                {
                    "model": BERT["model"] | {"freeze": [f"a{n}" * 50 for n in range(500)]},
                    "vary": [
                        {"pointer": f"/workload/{name}", "values": [*range(1, 65)]}
                        for name in ("batch_size", "sequence_length")
                    ],
                },
                "/vary",
            ),
            ({"transformer": {"heads": [5, 7]}}, "/model/config/num_attention_heads"),
            ({"transformer": {"layers": [1, 2]}, "objective": "cost"}, "/prices"),
        ],
    )
    def test_what_is_wrong_is_named(self, fields, pointer):
        with pytest.raises(InvalidRequest) as error:
            check_design_search(DesignSearchRequest.model_validate(BERT | fields))
        assert pointers(error) == [pointer]

    def test_some_designs_may_be_wrong(self):
        assert asked().vary, "3 heads do not divide 64"
