import { useLocation } from "preact-iso";
import { useEffect, useMemo, useRef } from "preact/hooks";
import type { DesignSearch, Objective } from "../../api/types";
import { MARKS, Scatter, type Point } from "../../charts/scatter";
import { Section } from "../../parts/section";
import { SortableTable, type SortColumn } from "../../parts/sortable";
import { Bytes } from "../../parts/values";
import { byteUnit, bytes } from "../../units";
import {
  METRICS,
  choicesText,
  drawnMetric,
  frontierOf,
  metricText,
  places,
  valueOf,
  valueText,
  type Metric,
  type Numbered,
} from "./measures";

interface Props {
  search: DesignSearch;
  names: Map<string, string>;
}

/** Every design that was looked at, as points and as a table; one of them is chosen. */
export function Designs({ search, names }: Props) {
  const { query, path, route } = useLocation();
  const designs = useMemo(
    () => (search.designs ?? []).map((design, index): Numbered => ({ ...design, number: index + 1 })),
    [search],
  );
  if (designs.length === 0) return null;
  const best = designs.find((design) => same(design.choices, search.best?.choices))?.number;
  const chosen = Number(query["design"]) || best;
  const choose = (number: number) => {
    route(`${path}?${new URLSearchParams({ ...query, design: String(number) })}`, true);
  };
  // A point that is picked shows its row; a row that is picked is seen already.
  const table = useRef<HTMLDivElement>(null);
  const picked = useRef(false);
  useEffect(() => {
    if (picked.current) table.current?.querySelector("tr.selected")?.scrollIntoView({ block: "nearest" });
    picked.current = false;
  }, [chosen]);
  const pick = (number: number) => {
    picked.current = true;
    choose(number);
  };
  return (
    <>
      <Picture search={search} names={names} designs={designs} chosen={chosen} choose={pick} />
      <Section
        title="All designs"
        note="simulated, found in the store, or refused; ⤳ proposed beyond what the designs known by then span"
      >
        <div ref={table}>
          <SortableTable
            label="Designs"
            columns={columnsOf(search, designs, names, chosen, best, choose)}
            rows={designs}
            first="feasible"
            isChosen={(design) => design.number === chosen}
          />
        </div>
      </Section>
    </>
  );
}

function same(one: object, other: object | undefined): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}

interface PictureProps extends Props {
  designs: Numbered[];
  chosen: number | undefined;
  choose: (number: number) => void;
}

function Picture({ search, names, designs, chosen, choose }: PictureProps) {
  const metric = drawnMetric(search.request.objective, designs);
  const { series, numbers } = useMemo(() => seriesOf(designs, search.request.objective, names, chosen), [designs, chosen]);
  const drawn = series.reduce((sum, one) => sum + one.points.length, 0);
  if (drawn === 0) return null;
  const limit = search.request.constraints.peak_bytes;
  const most = Math.max(...series.flatMap((one) => one.points.map((point) => point.x)));
  // Far away, a limit would press the points together.
  const mark = limit !== null && limit <= 1.5 * most ? { value: limit, label: `limit ${bytes(limit)}` } : null;
  const better = metric === "score" ? "more" : "less";
  return (
    <Section title={`${METRICS[metric]} against peak`} note={`less peak and ${better} ${METRICS[metric].toLowerCase()} is better`}>
      <ul class="legend">
        {series.map((one, index) => (
          <li>
            <span aria-hidden="true">{MARKS[index]}</span> {one.name} ({one.points.length})
          </li>
        ))}
        <li>the chosen one is larger</li>
      </ul>
      <Scatter
        series={series}
        x={{ name: "peak", format: bytes, unit: byteUnit(most), mark }}
        y={{ name: METRICS[metric].toLowerCase(), format: (value) => metricText(metric, value) }}
        label={`${METRICS[metric]} against peak of ${drawn} designs, ${series[1]!.points.length} of them infeasible; the table below has them.`}
        onPick={(point) => choose(numbers.get(point)!)}
      />
    </Section>
  );
}

/** Designs with numbers: those of the frontier, those beyond a limit, and the others. */
function seriesOf(designs: Numbered[], objective: Objective, names: Map<string, string>, chosen: number | undefined) {
  const metric = drawnMetric(objective, designs);
  const numbers = new Map<Point, number>();
  const frontier = frontierOf(designs, metric);
  const known = designs.filter((design) => valueOf(design.metrics, metric) !== null);
  const others = known.filter((design) => design.feasible && !frontier.includes(design));
  const points = (group: Numbered[]) =>
    group.map((design) => {
      const point = pointOf(design, metric, objective, names, design.number === chosen);
      numbers.set(point, design.number);
      return point;
    });
  const series = [
    { name: "feasible, on the frontier", points: points(frontier), joined: true },
    { name: "infeasible", points: points(known.filter((design) => !design.feasible)) },
    { name: "feasible, others", points: points(others) },
  ];
  return { series, numbers };
}

function pointOf(
  design: Numbered,
  metric: Objective,
  objective: Objective,
  names: Map<string, string>,
  marked: boolean,
): Point {
  const value = valueOf(design.metrics, metric)!;
  const expected = design.expected;
  return {
    x: design.metrics!.peak_bytes,
    y: value,
    title: `${design.number}: ${choicesText(design.choices, names)}`,
    rows: [
      { label: METRICS[metric], value: metricText(metric, value), strong: true },
      { label: "Peak", value: bytes(design.metrics!.peak_bytes) },
      ...(expected ? [{ label: "Expected", value: metricText(objective, expected.value) }] : []),
      { label: "Found", value: foundText(design) },
      ...design.violations.map((text) => ({ label: "✕", value: text })),
    ],
    marked,
  };
}

const SOURCES: Record<Numbered["source"], string> = {
  stored: "in the store",
  initial: "initial",
  proposed: "proposed",
};

/** Further left where it is all that there is to know. */
const WHY: SortColumn<Numbered> = {
  name: "why",
  title: "Why not",
  key: (design) => design.violations[0] ?? null,
  cell: (design) =>
    design.violations.length > 0 ? (
      <span class="violations">{design.violations.join("; ")}</span>
    ) : (
      <span class="none">–</span>
    ),
};

function columnsOf(
  search: DesignSearch,
  designs: Numbered[],
  names: Map<string, string>,
  chosen: number | undefined,
  best: number | undefined,
  choose: (number: number) => void,
): SortColumn<Numbered>[] {
  const { objective } = search.request;
  const order = places(designs, objective);
  const metrics = new Set<Metric>([objective, "peak_bytes", "step_seconds", "score", "parameter_count"]);
  return [
    {
      name: "number",
      title: "No.",
      key: (design) => design.number,
      cell: (design) => (
        <button
          type="button"
          class="link"
          aria-pressed={design.number === chosen}
          aria-label={`Design ${design.number}`}
          onClick={() => choose(design.number)}
        >
          {design.number}
        </button>
      ),
    },
    {
      name: "feasible",
      title: "Feasible",
      key: (design) => order.get(design.number)!,
      cell: (design) => <Verdict design={design} isBest={design.number === best} />,
    },
    {
      name: "simulation",
      title: "Simulation",
      key: (design) => design.simulation_id,
      cell: (design) =>
        design.simulation_id === null ? (
          <span class="none">–</span>
        ) : (
          <a href={`/simulations/${design.simulation_id}`}>
            open<span class="visually-hidden"> that of design {design.number}</span>
          </a>
        ),
    },
    ...(best === undefined ? [WHY] : []),
    ...[...names].map(([pointer, name]): SortColumn<Numbered> => ({
      name: pointer,
      title: name,
      number: typeof designs[0]?.choices[pointer] === "number",
      key: (design) => sortable(design.choices[pointer]),
      cell: (design) => valueText(design.choices[pointer]),
    })),
    ...[...metrics].map((metric): SortColumn<Numbered> => ({
      name: metric,
      title: METRICS[metric],
      number: true,
      key: (design) => valueOf(design.metrics, metric),
      cell: (design) => {
        const value = valueOf(design.metrics, metric);
        return metric === "peak_bytes" ? <Bytes value={value} /> : metricText(metric, value);
      },
    })),
    {
      name: "expected",
      title: "Expected",
      number: true,
      key: (design) => design.expected?.value ?? null,
      cell: (design) => metricText(objective, design.expected?.value),
    },
    {
      name: "source",
      title: "Found",
      key: (design) => foundText(design),
      cell: (design) => <span class="found">{foundText(design)}</span>,
    },
    ...(best === undefined ? [] : [WHY]),
  ];
}

function sortable(value: unknown): number | string {
  return typeof value === "number" ? value : valueText(value);
}

function foundText(design: Numbered): string {
  return design.expected?.extrapolated ? "proposed ⤳ extrapolated" : SOURCES[design.source];
}

function Verdict({ design, isBest }: { design: Numbered; isBest: boolean }) {
  if (design.feasible) return <span class="good">✓ {isBest ? "the best" : "yes"}</span>;
  return <span class="bad">✕ no</span>;
}
