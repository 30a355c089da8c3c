import { expect, it } from "vitest";
import { CATEGORIES, type Timeline } from "../src/api/types";
import { withPart } from "../src/charts/timeline_data";
import { overPhases } from "../src/charts/overlay";
import { treeOf } from "../src/charts/treemap";
import { differences } from "../src/pages/differences";
import { groupsOf } from "../src/pages/runs/groups";
import { shortened } from "../src/parts/strategy";

function timeline(event: number[]): Timeline {
  const series = Object.fromEntries(CATEGORIES.map((name) => [name, event]));
  return {
    event,
    total_bytes: event,
    bytes_by_category: series as Timeline["bytes_by_category"],
    reserved_bytes: null,
    phases: [],
    event_count: 100,
  };
}

it("puts the close part of a timeline between the coarse ones", () => {
  const joined = withPart(timeline([0, 10, 20, 30, 40]), timeline([12, 14, 20, 25]));
  expect(joined.event).toEqual([0, 10, 12, 14, 20, 25, 30, 40]);
  expect(joined.bytes_by_category.inputs).toHaveLength(8);
});

it("gives each phase the same width", () => {
  const pairs = overPhases([0, 1, 2, 10, 20], [5, 6, 7, 8, 9], [[1, 9], [10, 20]]);
  expect(pairs).toEqual([[0.25, 6], [0.75, 7], [1.25, 8], [1.75, 9]]);
});

it("sums modules into a tree whose leaves are categories", () => {
  const tree = treeOf([
    { module: "h.0", bytes: 30, count: 2, bytes_by_category: { parameters: 10, activations: 20 } },
    { module: "", bytes: 5, count: 1, bytes_by_category: { inputs: 5 } },
  ]);
  expect(tree.value).toBe(35);
  const h = tree.children.find((child) => child.name === "h")!;
  expect(h.children[0]!.children.map((leaf) => [leaf.category, leaf.value])).toEqual([
    ["activations", 20],
    ["parameters", 10],
  ]);
});

it("names every field that differs", () => {
  expect(differences({ a: { b: 1 }, c: [1] }, { a: { b: 2 }, c: [1], d: null })).toEqual([{ pointer: "/a/b", a: "1", b: "2" }]);
});

it("groups errors by device and model type", () => {
  const run = (relative_error: number) => ({ device: "cpu", model_type: "gpt2", relative_error });
  const [group] = groupsOf([run(0), run(-0.2), run(0.1)] as never);
  expect(group).toMatchObject({ device: "cpu", family: "gpt2", runs: 3, exact: 1, median: 0.1, largest: -0.2 });
});

it("leaves out of a strategy what says nothing", () => {
  const strategy = { version: 1, checkpointing: "none", units: [], micro_batches: 2, optimizer: { in_backward: false } };
  expect(shortened(strategy)).toEqual({ version: 1, micro_batches: 2 });
});
