/** What a design search wants and found, in words, and the points of its picture. */

import type { Choices, Design, DesignMetrics, DesignSearchRequest, Objective } from "../../api/types";
import { bytes, count, integer, seconds } from "../../units";

export type Metric = Objective | "parameter_count";

export const METRICS: Record<Metric, string> = {
  peak_bytes: "Peak",
  step_seconds: "Step time",
  cost: "Cost of a step",
  score: "Score",
  parameter_count: "Parameters",
};

export function metricText(metric: Metric, value: number | null | undefined): string {
  if (value === null || value === undefined) return "–";
  if (metric === "peak_bytes") return bytes(value);
  if (metric === "step_seconds") return seconds(value);
  if (metric === "parameter_count") return count(value);
  return Number(value.toPrecision(4)).toLocaleString("en-US", { maximumSignificantDigits: 4 });
}

/** What is wanted of designs, in a few words. */
export function goalText({ objective, constraints, prices }: DesignSearchRequest): string {
  const parts = [`${objective === "score" ? "most" : "least"} ${METRICS[objective].toLowerCase()}`];
  if (constraints.peak_bytes !== null) parts.push(`peak at most ${bytes(constraints.peak_bytes)}`);
  if (constraints.step_seconds !== null) parts.push(`step at most ${seconds(constraints.step_seconds)}`);
  if (constraints.parameter_count !== null) {
    parts.push(`at most ${integer(constraints.parameter_count)} parameters`);
  }
  if (constraints.score !== null) parts.push(`score at least ${metricText("score", constraints.score)}`);
  if (!constraints.fits) parts.push("whether it fits the device or not");
  if (objective === "cost") {
    const priced = Object.entries(prices).map(([device, price]) => `${device} ${price}`);
    parts.push(`an hour of ${priced.join(", ")}`);
  }
  return parts.join(", ");
}

/** Short names of axes by their pointers: the last part, or all of it where two end alike. */
export function axisNames(pointers: string[]): Map<string, string> {
  const ends = pointers.map((pointer) => pointer.split("/").at(-1)!);
  return new Map(
    pointers.map((pointer, index) => {
      const end = ends[index]!;
      return [pointer, ends.filter((other) => other === end).length > 1 ? pointer.slice(1) : end.replaceAll("_", " ")];
    }),
  );
}

export function valueText(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}

export function choicesText(choices: Choices, names: Map<string, string>): string {
  return Object.entries(choices)
    .map(([pointer, value]) => `${names.get(pointer) ?? pointer} ${valueText(value)}`)
    .join(", ");
}

/** A design with its place in the answer, counted from 1. */
export interface Numbered extends Design {
  number: number;
}

/** The metric that is drawn against the peak. */
export function drawnMetric(objective: Objective, designs: Design[]): Objective {
  if (objective !== "peak_bytes") return objective;
  return designs.some((design) => design.metrics?.step_seconds != null) ? "step_seconds" : "score";
}

/** Of the feasible designs those that no other one beats in both: least peak first. */
export function frontierOf<Item extends Design>(designs: Item[], metric: Objective): Item[] {
  const sign = metric === "score" ? -1 : 1;
  const value = (design: Item) => sign * (design.metrics![metric] ?? Infinity);
  const ordered = designs
    .filter((design) => design.feasible && design.metrics?.[metric] != null)
    .sort((a, b) => a.metrics!.peak_bytes - b.metrics!.peak_bytes || value(a) - value(b));
  let best = Infinity;
  return ordered.filter((design) => {
    if (value(design) >= best) return false;
    best = value(design);
    return true;
  });
}

/** The places of designs: feasible ones first, the best of them first; those without number last. */
export function places(designs: Numbered[], objective: Objective): Map<number, number> {
  const sign = objective === "score" ? -1 : 1;
  const cost = (design: Design) => {
    const found = valueOf(design.metrics, objective);
    return found === null ? Infinity : sign * found;
  };
  const ordered = [...designs].sort((a, b) => {
    if (a.feasible !== b.feasible) return a.feasible ? -1 : 1;
    return cost(a) === cost(b) ? a.number - b.number : cost(a) - cost(b);
  });
  return new Map(ordered.map((design, place) => [design.number, place]));
}

export function valueOf(metrics: DesignMetrics | null, metric: Metric): number | null {
  return metrics?.[metric] ?? null;
}
