"""Checkmate's programme: cases computed by hand, and never worse than options of a chain."""

import itertools

import networkx as nx
import pytest

from planner.solve import smallest_peak, solve
from planner.solve.oplevel import peak_bytes, solve_graph
from planner.solve.problem import Gap, Option, Problem, Unit


def line(*sizes):
    """Forward values f0, f1, ... and gradients in reverse order, each forward twice as cheap."""
    graph, order = nx.DiGraph(), []
    for number, size in enumerate(sizes):
        graph.add_node(f"f{number}", bytes=size, seconds=1.0)
    for number, size in reversed(list(enumerate(sizes))):
        graph.add_node(f"b{number}", bytes=size, seconds=2.0)
    order = list(graph)
    graph.add_edges_from(itertools.pairwise(order))
    for number in range(len(sizes)):
        graph.add_edge(f"f{number}", f"b{number}")
    return graph, order


def test_nothing_is_evaluated_twice_where_all_fits():
    graph, order = line(10, 10, 10)
    # While b2 runs, f0, f1, f2 and b2 are alive; so 40 suffice and no node runs twice.
    found = solve_graph(graph, order, 40)
    assert found is not None
    assert found.seconds == pytest.approx(9.0)
    assert found.peak_bytes == 40
    assert sum(map(sum, found.evaluated)) == 6


def test_one_evaluation_more_where_one_value_must_go():
    graph, order = line(10, 10, 10)
    # Beside b2 and the f2 it needs only one more value fits. If it is f0, then f1 comes again from
    # it, and b1 runs while f0, f1 and b2 are alive: 40. If it is f1, then b1 runs with f1 and b2,
    # and f0 comes again beside b1: 30 at most and one evaluation more.
    found = solve_graph(graph, order, 30)
    assert found is not None
    assert found.seconds == pytest.approx(10.0)
    assert found.peak_bytes == 30


def test_a_budget_below_one_node_and_its_inputs_is_infeasible():
    graph, order = line(10, 10, 10)
    # b1 needs f1 and b2 beside its own output.
    assert solve_graph(graph, order, 29) is None


def test_an_order_against_an_edge_is_refused():
    graph, order = line(10, 10)
    with pytest.raises(ValueError, match="topological"):
        solve_graph(graph, order[::-1], 100)


def test_playing_a_schedule_that_misses_a_value_fails():
    graph, order = line(10, 10)
    stages = tuple(tuple(i == t for i in range(4)) for t in range(4))
    nothing = tuple((False,) * 4 for _ in range(4))
    with pytest.raises(AssertionError):
        peak_bytes(graph, order, stages, nothing)


def units_and_graph(inner, outer):
    """A chain of units with one inner value each, as a problem and as single operations.

    Unit u computes h from its input x[u], then its output x[u+1] from h; its backward needs x[u],
    h and the gradient of x[u+1]. It may keep x[u] and h, or x[u] alone and compute h again.
    """
    count = len(inner)
    units, graph = [], nx.DiGraph()
    graph.add_node("x0", bytes=outer[0], seconds=0.0)
    for u in range(count):
        working = outer[u] + inner[u] + outer[u]
        units.append(
            Unit(
                name=f"u{u}",
                kind=f"k{u}",
                options=(
                    Option("keep", 0.0, outer[u] + inner[u], inner[u] + outer[u + 1], working),
                    Option("again", 1.0, outer[u], inner[u] + outer[u + 1], working),
                ),
                forward_level_bytes=outer[u],
                backward_level_bytes=outer[u + 1],
            )
        )
        graph.add_node(f"h{u}", bytes=inner[u], seconds=1.0)
        graph.add_node(f"x{u + 1}", bytes=outer[u + 1], seconds=1.0)
        graph.add_edges_from([(f"x{u}", f"h{u}"), (f"h{u}", f"x{u + 1}")])
    graph.add_node("loss", bytes=outer[count], seconds=0.0)
    graph.add_edge(f"x{count}", "loss")
    above = "loss"
    for u in reversed(range(count)):
        graph.add_node(f"g{u}", bytes=outer[u], seconds=3.0)
        graph.add_edges_from([(above, f"g{u}"), (f"x{u}", f"g{u}"), (f"h{u}", f"g{u}")])
        above = f"g{u}"
    gaps = (Gap("loss", count, 2 * outer[count]),)
    return Problem(tuple(units), gaps), graph


@pytest.mark.parametrize(
    ("inner", "outer"),
    [((20, 20, 20), (4, 4, 4, 4)), ((30, 10, 25), (3, 6, 5, 2)), ((9, 31, 17), (8, 2, 7, 5))],
)
def test_single_operations_are_never_dearer_than_options(inner, outer):
    problem, graph = units_and_graph(inner, outer)
    once = sum(data["seconds"] for _, data in graph.nodes(data=True))
    least = smallest_peak(problem, segments=False).peak_bytes
    most = least + 60
    for budget in range(least, most, 15):
        chain = solve(problem, budget, segments=False)
        found = solve_graph(graph, list(graph), budget)
        assert chain is not None
        assert found is not None
        assert found.seconds <= once + chain.seconds + 1e-9
        assert found.peak_bytes <= budget
