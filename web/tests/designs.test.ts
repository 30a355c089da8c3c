import { expect, it } from "vitest";
import type { Design, DesignSearchRequest } from "../src/api/types";
import { axisNames, drawnMetric, frontierOf, goalText, metricText, places } from "../src/pages/designs/measures";
import { sorted, sortOf } from "../src/parts/sortable";

function design(peak_bytes: number, score: number, feasible = true, step_seconds: number | null = null): Design {
  const metrics = { peak_bytes, score, step_seconds, parameter_count: 1, memory_use: null, cost: null };
  return { choices: {}, source: "initial", metrics, feasible, violations: [], expected: null, simulation_id: null };
}
const FAILED: Design = { ...design(0, 0, false), metrics: null };

it("keeps of the feasible designs those that no other one beats", () => {
  const designs = [design(30, 9), design(10, 5), design(20, 4), design(20, 7), design(5, 99, false), FAILED];
  expect(frontierOf(designs, "score").map(({ metrics }) => metrics!.peak_bytes)).toEqual([10, 20, 30]);
  expect(frontierOf([design(1, 0, true, 2), design(2, 0, true, 3)], "step_seconds")).toHaveLength(1);
});

it("draws another metric where the peak itself is the objective", () => {
  expect(drawnMetric("cost", [])).toBe("cost");
  expect(drawnMetric("peak_bytes", [FAILED, design(1, 1, true, 2)])).toBe("step_seconds");
  expect(drawnMetric("peak_bytes", [design(1, 1)])).toBe("score");
});

it("places feasible designs before others, and those without numbers last", () => {
  const designs = [FAILED, design(1, 900, false), design(1, 5), design(1, 800)].map((each, index) => ({ ...each, number: index + 1 }));
  expect([...places(designs, "score").keys()]).toEqual([4, 3, 2, 1]);
  expect([...places(designs, "peak_bytes").keys()]).toEqual([3, 4, 2, 1]);
});

it("sorts numbers as numbers, and leaves what has no key at the end", () => {
  const rows = [{ key: 10 }, { key: null }, { key: 9 }];
  expect(sorted(rows, (row) => row.key, false).map((row) => row.key)).toEqual([9, 10, null]);
  expect(sorted(rows, (row) => row.key, true).map((row) => row.key)).toEqual([10, 9, null]);
  expect(sorted(["b10", "b9"], (row) => row, false)).toEqual(["b9", "b10"]);
});

it("takes the order from the address, if there is such a column", () => {
  expect(sortOf("-peak", ["peak"], "first")).toEqual({ name: "peak", descending: true });
  expect(sortOf("nothing", ["peak"], "first")).toEqual({ name: "first", descending: false });
});

it("names axes by their ends, and in full where two end alike", () => {
  const names = axisNames(["/workload/batch_size", "/blocks/0/repeat", "/blocks/1/repeat"]);
  expect([...names.values()]).toEqual(["batch size", "blocks/0/repeat", "blocks/1/repeat"]);
});

it("says what is wanted", () => {
  const constraints = { fits: false, peak_bytes: 2 ** 20, step_seconds: null, parameter_count: 1000, score: null };
  const request = { objective: "cost", constraints, prices: { t4: 0.35 } } as unknown as DesignSearchRequest;
  expect(goalText(request)).toBe(
    "least cost of a step, peak at most 1.00 MiB, at most 1,000 parameters, whether it fits the device or not, an hour of t4 0.35",
  );
  expect(metricText("cost", 8.6533e-6)).toBe("0.000008653");
  expect(metricText("score", 22764.3)).toBe("22,760");
});
