import { expect, it } from "vitest";
import type { Graph } from "../src/api/types";
import { moduleGraph, openAtFirst, phasesOf, visible } from "../src/charts/module_graph";

const node = (phase: string, name: string, bytes_written = 0) => ({
  id: `${phase}:${name}`,
  name,
  phase,
  ops: 1,
  internal_bytes: 0,
  flops: 10,
  bytes_written,
});
const GRAPH: Graph = {
  nodes: [
    node("data", "h.0"),
    node("step1.forward", "h.0.attn", 5),
    node("step1.forward", "h.0.mlp", 7),
    node("step1.forward", "h.1", 9),
    node("step1.backward", "h.1"),
  ],
  edges: [
    { source: "data:h.0", target: "step1.forward:h.0.attn", bytes: 100, tensors: 1 },
    { source: "step1.forward:h.0.attn", target: "step1.forward:h.0.mlp", bytes: 20, tensors: 1 },
    { source: "step1.forward:h.0.attn", target: "step1.forward:h.1", bytes: 3, tensors: 1 },
    { source: "step1.forward:h.0.mlp", target: "step1.forward:h.1", bytes: 4, tensors: 2 },
    { source: "step1.forward:h.1", target: "step1.backward:h.1", bytes: 50, tensors: 1 },
  ],
};

it("knows the phases that compute", () => expect(phasesOf(GRAPH)).toEqual(["step1.forward", "step1.backward"]));

it("puts a module into the outermost closed one", () => {
  expect(visible("h.0.attn", new Set())).toBe("");
  expect(visible("h.0.attn", new Set([""]))).toBe("h");
  expect(visible("h.0.attn", new Set(["", "h"]))).toBe("h.0");
  expect(visible("h.0.attn", new Set(["", "h", "h.0"]))).toBe("h.0.attn");
});

it("sums what is inside a closed module and leaves out what stays there", () => {
  const { nodes, edges } = moduleGraph(GRAPH, "step1.forward", new Set(["", "h"]));
  expect(nodes.map(({ module, ops, bytesWritten, bytesHeld, opens }) => [module, ops, bytesWritten, bytesHeld, opens])).toEqual([
    ["h.0", 2, 12, 100, true],
    ["h.1", 1, 9, 0, false],
  ]);
  expect(edges).toEqual([{ source: "h.0", target: "h.1", bytes: 7, tensors: 3 }]);
});

it("tells what other phases saved", () => {
  const { nodes } = moduleGraph(GRAPH, "step1.backward", new Set([""]));
  expect(nodes[0]!.bytesSaved).toBe(50);
});

it("opens as far as there is room", () => {
  expect([...openAtFirst(GRAPH, "step1.forward", 2)]).toEqual(["", "h"]);
  expect(moduleGraph(GRAPH, "step1.forward", openAtFirst(GRAPH, "step1.forward", 99)).nodes).toHaveLength(3);
});
