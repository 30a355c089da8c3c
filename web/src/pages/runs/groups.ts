import type { Run } from "../../api/types";

export interface Group {
  device: string;
  family: string;
  runs: number;
  exact: number;
  /** Of the absolute errors. */
  median: number;
  /** The error farthest from zero, with its sign. */
  largest: number;
}

/** Errors by device and model type, those with most runs first. */
export function groupsOf(runs: Run[]): Group[] {
  const groups = new Map<string, Run[]>();
  for (const run of runs) {
    const key = JSON.stringify([run.device, run.model_type ?? "of layers"]);
    groups.set(key, [...(groups.get(key) ?? []), run]);
  }
  return [...groups]
    .map(([key, members]) => {
      const [device, family] = JSON.parse(key) as [string, string];
      const errors = members.map((run) => run.relative_error ?? 0).sort((a, b) => Math.abs(a) - Math.abs(b));
      const half = errors.length / 2;
      const middle = [errors[Math.ceil(half) - 1]!, errors[Math.floor(half)]!];
      return {
        device,
        family,
        runs: members.length,
        exact: errors.filter((error) => error === 0).length,
        median: (Math.abs(middle[0]!) + Math.abs(middle[1]!)) / 2,
        largest: errors.at(-1)!,
      };
    })
    .sort((a, b) => b.runs - a.runs);
}
