import { useLocation } from "preact-iso";
import { useEffect, useState } from "preact/hooks";
import { api } from "../../api/client";
import { useChanges } from "../../api/hooks";
import type { Page, Run } from "../../api/types";
import { MARKS, Scatter, type Point } from "../../charts/scatter";
import { Section } from "../../parts/section";
import { Empty, Loading, ProblemView, problemOf } from "../../parts/states";
import { Table, type Column } from "../../parts/table";
import { bytes, integer, relativeError } from "../../units";
import { groupsOf, type Group } from "./groups";

const PAGE = 200;
const MOST = 1_000;

/** The newest measured runs, page by page. */
async function measuredRuns(): Promise<Run[]> {
  const runs: Run[] = [];
  let cursor: string | null = null;
  do {
    const query: string = `?status=succeeded&limit=${PAGE}${cursor ? `&cursor=${cursor}` : ""}`;
    const page: Page<Run> = await api<Page<Run>>(`/v1/runs${query}`);
    runs.push(...page.items.filter((run) => run.relative_error !== null));
    cursor = page.next_cursor;
  } while (cursor !== null && runs.length < MOST);
  return runs;
}

export function ErrorSection() {
  const { route } = useLocation();
  const [runs, setRuns] = useState<Run[] | null>(null);
  const [error, setError] = useState<unknown>(null);
  const load = () => void measuredRuns().then(setRuns, setError);
  useEffect(load, []);
  useChanges(["run"], load, 2_000);
  return (
    <Section title="Did the predictions hold?" note={`error of the peak, newest ${integer(MOST)} runs at most`}>
      {error !== null ? (
        <ProblemView problem={problemOf(error)} again={load} />
      ) : runs === null ? (
        <Loading />
      ) : runs.length === 0 ? (
        <Empty title="Nothing is measured yet">Open a simulation and choose “Run for real”.</Empty>
      ) : (
        <Errors runs={runs} open={(id) => route(`/runs/${id}`)} />
      )}
    </Section>
  );
}

function Errors({ runs, open }: { runs: Run[]; open: (id: string) => void }) {
  const devices = [...new Set(runs.map((run) => run.device))];
  const ids = new Map<Point, string>();
  const series = devices.map((device) => ({
    name: device,
    points: runs.filter((run) => run.device === device).map((run) => remember(ids, run)),
  }));
  const exact = runs.filter((run) => run.relative_error === 0).length;
  const worst = Math.max(...runs.map((run) => Math.abs(run.relative_error!)));
  return (
    <div class="halves">
      <div>
        <ul class="legend">
          {devices.map((device, index) => (
            <li>
              <span aria-hidden="true">{MARKS[index % MARKS.length]}</span> {device}
            </li>
          ))}
        </ul>
        <Scatter
          series={series}
          x={{ name: "measured peak", format: bytes, log: true }}
          y={{ name: "predicted − measured", format: relativeErrorTick, atLeast: 0.001 }}
          label={`Relative error of ${runs.length} runs: ${exact} exact, at most ${relativeError(worst)}. The table has them by device and model type.`}
          onPick={(point) => open(ids.get(point)!)}
        />
      </div>
      <Table stacked label="Errors by device and model type" columns={GROUP_COLUMNS} rows={groupsOf(runs)} />
    </div>
  );
}

function remember(ids: Map<Point, string>, run: Run): Point {
  const point: Point = {
    x: run.measured!.peak_bytes,
    y: run.relative_error!,
    title: `${run.model_type ?? "layers"} on ${run.device}`,
    rows: [
      { label: "Error", value: relativeError(run.relative_error!), strong: true },
      { label: "Predicted", value: bytes(run.predicted.peak_bytes) },
      { label: "Measured", value: bytes(run.measured!.peak_bytes) },
    ],
  };
  ids.set(point, run.id);
  return point;
}

function relativeErrorTick(value: number): string {
  return value === 0 ? "0" : `${Number((value * 100).toPrecision(2))} %`;
}

const GROUP_COLUMNS: Column<Group>[] = [
  { title: "Device", cell: (group) => group.device },
  { title: "Model type", cell: (group) => group.family },
  { title: "Runs", number: true, cell: (group) => integer(group.runs) },
  { title: "Exact", number: true, cell: (group) => integer(group.exact) },
  { title: "Median error", number: true, cell: (group) => relativeError(group.median).replace("+", "") },
  { title: "Largest", number: true, cell: (group) => relativeError(group.largest) },
];
