"""The computation graph of a tape: ops, and the tensors between them. From the tape alone; no
torch.

Nodes are ops (`kind` "op") and the data that existed before the step (`kind` "data": parameters,
buffers, inputs, optimizer state). An edge carries the tensors that one op made and another reads;
views are ops of their own.
"""

from __future__ import annotations

import io
from typing import Any

import networkx as nx
import numpy as np

from planner.simulation import storage_label
from planner.tape import Category, OpFlag, Tape


def build_graph(tape: Tape, step: int | None = None) -> nx.DiGraph:
    """The graph of one step (the last by default). O(ops + tensors read).

    Node attributes: `kind`, `name`, `module`, `phase`, `flops`, `bytes_read`, `bytes_written`,
    `recompute`; for data `category` and `bytes`. Edge attributes: `bytes` and `tensors` (how many),
    `layout` of the largest.

    Raises:
        ValueError: the tape has no such step.
    """
    chosen = _ops_of_step(tape, step)
    first = int(chosen[0]) if len(chosen) else 0
    graph = nx.DiGraph()
    for op in chosen.tolist():
        graph.add_node(f"op{op}", **_op_attributes(tape, op))
        for tensor in tape.op_inputs[tape.op_inputs_at[op] : tape.op_inputs_at[op + 1]].tolist():
            _connect(graph, tape, tensor, op, first)
    return graph


def _ops_of_step(tape: Tape, step: int | None) -> Any:
    prefix = tape.phases[-1].partition(".")[0] if step is None else f"step{step}"
    phases = [i for i, name in enumerate(tape.phases) if name.partition(".")[0] == prefix]
    if not phases:
        raise ValueError(f"the tape has no {prefix}; it has {', '.join(tape.phases)}")
    return np.flatnonzero(np.isin(tape.op_phase, phases))


def _op_attributes(tape: Tape, op: int) -> dict[str, Any]:
    return {
        "kind": "op",
        "name": tape.names[tape.op_name[op]],
        "module": tape.modules[tape.op_module[op]],
        "phase": tape.phases[tape.op_phase[op]],
        "flops": int(tape.op_flops[op]),
        "bytes_read": int(tape.op_bytes_read[op]),
        "bytes_written": int(tape.op_bytes_written[op]),
        "recompute": bool(tape.op_flags[op] & OpFlag.recompute),
    }


def _connect(graph: nx.DiGraph, tape: Tape, tensor: int, op: int, first: int) -> None:
    producer = int(tape.tensor_op[tensor])
    source = f"op{producer}" if producer >= first else _data_node(graph, tape, tensor)
    size = int(tape.tensor_bytes[tensor])
    edge = graph.get_edge_data(source, f"op{op}")
    dtype, shape = tape.layouts[tape.tensor_layout[tensor]]
    layout = f"{dtype}[{', '.join(map(str, shape))}]"
    if edge is None:
        graph.add_edge(source, f"op{op}", bytes=size, tensors=1, layout=layout)
    else:
        edge["layout"] = layout if size > edge["bytes"] else edge["layout"]
        edge["bytes"] += size
        edge["tensors"] += 1


def _data_node(graph: nx.DiGraph, tape: Tape, tensor: int) -> str:
    storage = int(tape.tensor_storage[tensor])
    node = f"data{storage}"
    if node not in graph:
        label = storage_label(tape, storage)
        graph.add_node(
            node,
            kind="data",
            name=label,
            module=label.rpartition(".")[0] if tape.storage_op[storage] < 0 else "",
            phase="",
            category=Category(tape.storage_category[storage]).name,
            bytes=int(tape.storage_bytes[storage]),
        )
    return node


def collapse(graph: nx.DiGraph, depth: int) -> nx.DiGraph:
    """The graph with one node for each phase and module path cut to `depth` names.

    Depth 0 leaves one node a phase, and one for all data. Node attributes are sums over the
    members, `ops` is their number and `internal_bytes` what moves inside; edges carry sums.
    """
    small = nx.DiGraph()
    group: dict[str, str] = {}
    for node, attributes in graph.nodes(data=True):
        module = ".".join(attributes["module"].split(".")[:depth])
        phase = attributes["phase"] or attributes["kind"]
        key = group[node] = f"{phase}:{module}"
        if key not in small:
            small.add_node(key, kind="group", name=module, phase=phase, ops=0, internal_bytes=0)
        _add(small.nodes[key], attributes)
    for source, target, attributes in graph.edges(data=True):
        start, end = group[source], group[target]
        if start == end:
            small.nodes[start]["internal_bytes"] += attributes["bytes"]
        elif small.has_edge(start, end):
            small[start][end]["bytes"] += attributes["bytes"]
            small[start][end]["tensors"] += attributes["tensors"]
        else:
            small.add_edge(start, end, bytes=attributes["bytes"], tensors=attributes["tensors"])
    return small


def _add(node: dict[str, Any], member: dict[str, Any]) -> None:
    node["ops"] += member["kind"] == "op"
    for key in ("flops", "bytes_read", "bytes_written", "bytes"):
        if key in member:
            node[key] = node.get(key, 0) + member[key]


def node_link(graph: nx.DiGraph) -> dict[str, Any]:
    """Node-link JSON as `networkx.node_link_graph(data, edges="edges")` and D3 read it."""
    data: dict[str, Any] = nx.node_link_data(graph, edges="edges")
    return data


def graphml(graph: nx.DiGraph) -> bytes:
    """GraphML (http://graphml.graphdrawing.org), for Gephi, yEd, Cytoscape and networkx."""
    buffer = io.BytesIO()
    nx.write_graphml_xml(graph, buffer, named_key_ids=True)
    return buffer.getvalue()
