import { useLocation } from "preact-iso";
import { useResource } from "../api/hooks";
import { CATEGORIES, type Page, type Prediction, type Simulation, type Timeline } from "../api/types";
import { POINTS, TimelineView } from "../charts/timeline_view";
import { modelName, workloadText } from "../describe";
import { CategoryBar } from "../parts/category_bar";
import { Select } from "../parts/field";
import { PageHead, Section } from "../parts/section";
import { Await, Empty } from "../parts/states";
import { Table, type Column } from "../parts/table";
import { Bytes, CategoryName } from "../parts/values";
import { ago, bytes, count, flops, integer, seconds } from "../units";
import { differences, type Difference } from "./differences";
import { useDevice } from "./simulation/page";
import "../styles/compare.css";

export function ComparePage() {
  const { query } = useLocation();
  const { a = "", b = "" } = query;
  return (
    <>
      <PageHead title="Compare">Two simulations, side by side and on one scale.</PageHead>
      <Section title="Which">
        <Pickers a={a} b={b} />
      </Section>
      {a && b ? (
        <Both a={a} b={b} />
      ) : (
        <Empty title="Choose two simulations">
          The address then names both, to be passed on: <code>/compare?a=…&b=…</code>
        </Empty>
      )}
    </>
  );
}

function Pickers({ a, b }: { a: string; b: string }) {
  const { route } = useLocation();
  const loaded = useResource<Page<Simulation>>("/v1/simulations?status=succeeded&limit=100");
  const go = (next: Record<string, string>) => {
    const query = Object.entries({ a, b, ...next }).filter(([, id]) => id);
    route(`/compare?${new URLSearchParams(query)}`);
  };
  return (
    <Await loaded={loaded}>
      {({ items }) => {
        const options = items.map((item): [string, string] => [item.id, optionText(item)]);
        const choices = (chosen: string): [string, string][] => [
          ["", "choose …"],
          ...options,
          ...(chosen && !options.some(([id]) => id === chosen) ? [[chosen, chosen] as [string, string]] : []),
        ];
        return (
          <div class="pickers">
            <label>
              A <Select value={a} options={choices(a)} onValue={(id) => go({ a: id })} />
            </label>
            <label>
              B <Select value={b} options={choices(b)} onValue={(id) => go({ b: id })} />
            </label>
            <button type="button" class="small" onClick={() => go({ a: b, b: a })}>
              Swap
            </button>
          </div>
        );
      }}
    </Await>
  );
}

function optionText(item: Simulation): string {
  const peak = item.prediction ? bytes(item.prediction.peak_bytes) : "";
  return `${modelName(item.request.model)}, ${peak}: ${workloadText(item.request.workload)}, ${item.request.device}, ${ago(item.created_at)}`;
}

function Both({ a, b }: { a: string; b: string }) {
  const one = useResource<Simulation>(`/v1/simulations/${a}`);
  const other = useResource<Simulation>(`/v1/simulations/${b}`);
  return (
    <Await loaded={one}>
      {(first) => (
        <Await loaded={other}>
          {(second) =>
            first.prediction && second.prediction ? (
              <Sides a={first} b={second} of={first.prediction} and={second.prediction} />
            ) : (
              <Empty title="One of them has no prediction yet">
                <a href={`/simulations/${first.prediction ? b : a}`}>See how far it is</a>
              </Empty>
            )
          }
        </Await>
      )}
    </Await>
  );
}

function Sides(props: { a: Simulation; b: Simulation; of: Prediction; and: Prediction }) {
  const { a, b, of, and } = props;
  const scale = Math.max(of.peak_bytes, and.peak_bytes);
  const ceiling = Math.max(scale, of.reserved_bytes ?? 0, and.reserved_bytes ?? 0);
  return (
    <>
      <div class="halves">
        <Section title="In numbers">
          <Table label="Numbers of both" columns={NUMBER_COLUMNS} rows={numbersOf(of, and)} />
        </Section>
        <Section title="What was asked" note="where they differ">
          <Asked a={a} b={b} />
        </Section>
      </div>
      <Section title="At the peak" note="by category, on one scale">
        {[["A", of] as const, ["B", and] as const].map(([name, prediction]) => (
          <div class="peaks">
            <span>{name}</span>
            <CategoryBar parts={prediction.at_peak} total={prediction.peak_bytes} scale={scale} />
            <Bytes value={prediction.peak_bytes} />
          </div>
        ))}
        <Table label="Categories of both" columns={CATEGORY_COLUMNS} rows={categoriesOf(of, and)} />
      </Section>
      <Side name="A" simulation={a} ceiling={ceiling} />
      <Side name="B" simulation={b} ceiling={ceiling} />
    </>
  );
}

function Side({ name, simulation, ceiling }: { name: string; simulation: Simulation; ceiling: number }) {
  const path = `/v1/simulations/${simulation.id}/timeline`;
  const timeline = useResource<Timeline>(`${path}?max_points=${POINTS}`);
  const device = useDevice(simulation.request.device);
  const limit = device?.memory_bytes ? { label: `Memory of ${device.name}`, bytes: device.memory_bytes } : null;
  return (
    <Section
      title={`${name}: ${modelName(simulation.request.model)}`}
      note={workloadText(simulation.request.workload)}
      actions={<a href={`/simulations/${simulation.id}`}>Open</a>}
    >
      <Await loaded={timeline} what="Replaying the tape">
        {(data) => <TimelineView timeline={data} path={path} limit={limit} ceiling={ceiling} label={name} />}
      </Await>
    </Section>
  );
}

interface NumberRow {
  name: string;
  a: number | null;
  b: number | null;
  format: (value: number) => string;
}

function numbersOf(a: Prediction, b: Prediction): NumberRow[] {
  const rows: NumberRow[] = [
    { name: "Peak, live", a: a.peak_bytes, b: b.peak_bytes, format: bytes },
    { name: "Reserved at most", a: a.reserved_bytes, b: b.reserved_bytes, format: bytes },
    { name: "Of the device", a: a.device_bytes, b: b.device_bytes, format: bytes },
    { name: "Parameters", a: a.parameter_count, b: b.parameter_count, format: count },
    { name: "A step computes", a: a.step_flops, b: b.step_flops, format: flops },
    { name: "A step takes", a: a.step_seconds, b: b.step_seconds, format: seconds },
    { name: "Ops", a: a.op_count, b: b.op_count, format: integer },
  ];
  return rows.filter((row) => row.a !== null || row.b !== null);
}

function ratio(a: number | null, b: number | null): string {
  if (a === null || b === null || a === 0) return "–";
  if (a === b) return "the same";
  const percent = (b / a - 1) * 100;
  return `${percent < 0 ? "−" : "+"}${Math.abs(percent).toFixed(1)} %`;
}

const shown = (row: NumberRow, value: number | null) =>
  value === null ? "–" : row.format === bytes ? <Bytes value={value} /> : row.format(value);

const NUMBER_COLUMNS: Column<NumberRow>[] = [
  { title: "", cell: (row) => row.name },
  { title: "A", number: true, cell: (row) => shown(row, row.a) },
  { title: "B", number: true, cell: (row) => shown(row, row.b) },
  { title: "B over A", number: true, cell: (row) => ratio(row.a, row.b) },
];

type CategoryRow = { category: (typeof CATEGORIES)[number]; a: number; b: number };

function categoriesOf(a: Prediction, b: Prediction): CategoryRow[] {
  return CATEGORIES.map((category) => ({ category, a: a.at_peak[category], b: b.at_peak[category] })).filter(
    (row) => row.a > 0 || row.b > 0,
  );
}

const CATEGORY_COLUMNS: Column<CategoryRow>[] = [
  { title: "Category", cell: (row) => <CategoryName category={row.category} /> },
  { title: "A", number: true, cell: (row) => <Bytes value={row.a} /> },
  { title: "B", number: true, cell: (row) => <Bytes value={row.b} /> },
  { title: "B over A", number: true, cell: (row) => ratio(row.a, row.b) },
];

const DIFFERENCE_COLUMNS: Column<Difference>[] = [
  { title: "Field", cell: (row) => <code>{row.pointer}</code> },
  { title: "A", cell: (row) => <code>{row.a}</code> },
  { title: "B", cell: (row) => <code>{row.b}</code> },
];

function Asked({ a, b }: { a: Simulation; b: Simulation }) {
  const rows = [...differences(a.request, b.request), ...differences(a.versions, b.versions, "versions")];
  if (rows.length === 0) return <p class="note">Nowhere: both are of the same request.</p>;
  return <Table label="Fields that differ" columns={DIFFERENCE_COLUMNS} rows={rows} />;
}
