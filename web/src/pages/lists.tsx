import type { DesignSearch, ModelDescription, Plan, Simulation } from "../api/types";
import { modelName, strategyText, workloadText } from "../describe";
import { Listing, STATUSES, type Filter } from "../parts/listing";
import { PageHead, Section } from "../parts/section";
import { Empty } from "../parts/states";
import { Table, type Column } from "../parts/table";
import { Bytes, Status } from "../parts/values";
import { added, ago, count, moment } from "../units";
import { goalText, metricText } from "./designs/measures";

const FILTERS: Filter[] = [
  { name: "status", label: "Status", options: STATUSES },
  { name: "model_type", label: "Model type" },
  { name: "task", label: "Task" },
  { name: "device", label: "Device" },
];
const MODE: Filter = { name: "mode", label: "Mode", options: ["train", "inference", "generation"] };
const FEASIBLE: Filter = { name: "feasible", label: "Feasible", options: [["true", "yes"], ["false", "no"]] };

function Start() {
  return (
    <a class="button primary" href="/new">
      New
    </a>
  );
}

function When({ at }: { at: string }) {
  return (
    <time dateTime={at} title={moment(at)}>
      {ago(at)}
    </time>
  );
}

/** Many are of one type: its size tells them apart. */
function Named({ path, model, size }: { path: string; model: ModelDescription; size?: number }) {
  return (
    <>
      <a href={path}>{modelName(model)}</a>
      {size !== undefined && <small class="size"> {count(size)}</small>}
    </>
  );
}

const SIMULATION_COLUMNS: Column<Simulation>[] = [
  { title: "Model", cell: (item) => <Named path={`/simulations/${item.id}`} model={item.request.model} size={item.prediction?.parameter_count} /> },
  { title: "Workload", cell: (item) => workloadText(item.request.workload) },
  { title: "Device", cell: (item) => item.request.device },
  { title: "Strategy", cell: (item) => strategyText(item.request.strategy) },
  { title: "Peak", number: true, cell: (item) => <Bytes value={item.prediction?.peak_bytes} /> },
  { title: "Fits", cell: (item) => fits(item.prediction?.fits) },
  { title: "Status", cell: (item) => <Status status={item.status} /> },
  { title: "Asked", cell: (item) => <When at={item.created_at} /> },
];

function fits(value: boolean | null | undefined) {
  if (value === null || value === undefined) return <span class="none">–</span>;
  return <span class="fits">{value ? "✓ yes" : "✕ no"}</span>;
}

export function SimulationList() {
  return (
    <>
      <PageHead title="Simulations" actions={<Start />} />
      <Section title="Stored" note="newest first">
        <Listing<Simulation> path="/v1/simulations" kind="simulation" filters={[...FILTERS, MODE]}>
          {(items, filtered) =>
            items.length === 0 ? (
              <Nothing what="simulation" filtered={filtered} />
            ) : (
              <Table stacked label="Simulations" columns={SIMULATION_COLUMNS} rows={items} />
            )
          }
        </Listing>
      </Section>
    </>
  );
}

const PLAN_COLUMNS: Column<Plan>[] = [
  { title: "Model", cell: (item) => <Named path={`/plans/${item.id}`} model={item.request.model} size={item.baseline?.parameter_count} /> },
  { title: "Workload", cell: (item) => workloadText(item.request.workload) },
  { title: "Device", cell: (item) => item.request.device },
  { title: "Budget", number: true, cell: (item) => <Bytes value={item.budget_bytes ?? item.request.budget.memory} /> },
  { title: "Unplanned", number: true, cell: (item) => <Bytes value={item.baseline?.peak_bytes} /> },
  { title: "Planned", number: true, cell: (item) => <Bytes value={item.prediction?.peak_bytes} /> },
  { title: "Step time", number: true, cell: (item) => (item.overhead ? added(item.overhead.step_seconds_ratio) : "–") },
  { title: "Feasible", cell: (item) => fits(item.feasible) },
  { title: "Status", cell: (item) => <Status status={item.status} /> },
  { title: "Asked", cell: (item) => <When at={item.created_at} /> },
];

export function PlanList() {
  return (
    <>
      <PageHead title="Plans" actions={<Start />} />
      <Section title="Stored" note="newest first">
        <Listing<Plan> path="/v1/plans" kind="plan" filters={[...FILTERS, FEASIBLE]}>
          {(items, filtered) =>
            items.length === 0 ? (
              <Nothing what="plan" filtered={filtered} />
            ) : (
              <Table stacked label="Plans" columns={PLAN_COLUMNS} rows={items} />
            )
          }
        </Listing>
      </Section>
    </>
  );
}

const OBJECTIVE: Filter = {
  name: "objective",
  label: "Objective",
  options: [["peak_bytes", "least peak"], ["step_seconds", "least step time"], ["cost", "least cost"], ["score", "most score"]],
};

const DESIGN_SEARCH_COLUMNS: Column<DesignSearch>[] = [
  { title: "Model", cell: (item) => <a href={`/design-searches/${item.id}`}>{modelName(item.request.model)}</a> },
  { title: "Workload", cell: (item) => workloadText(item.request.workload) },
  { title: "Wanted", cell: (item) => goalText(item.request) },
  { title: "Best", number: true, cell: (item) => metricText(item.request.objective, item.best_value) },
  { title: "Simulated", number: true, cell: (item) => item.evaluations ?? "–" },
  { title: "Of designs", number: true, cell: (item) => item.space_size ?? "–" },
  { title: "Feasible", cell: (item) => fits(item.feasible) },
  { title: "Status", cell: (item) => <Status status={item.status} /> },
  { title: "Asked", cell: (item) => <When at={item.created_at} /> },
];

export function DesignSearchList() {
  return (
    <>
      <PageHead title="Design searches">The best of many architectures, workloads and devices, by simulating few.</PageHead>
      <Section title="Stored" note="newest first">
        <Listing<DesignSearch>
          path="/v1/design-searches"
          kind="design_search"
          filters={[...FILTERS, OBJECTIVE, FEASIBLE]}
        >
          {(items, filtered) =>
            items.length > 0 ? (
              <Table stacked label="Design searches" columns={DESIGN_SEARCH_COLUMNS} rows={items} />
            ) : filtered ? (
              <Nothing what="design search" filtered />
            ) : (
              <Empty title="There is no design search yet">
                <p>
                  <code>headroom design-search</code> or <code>POST /v1/design-searches</code> starts one.
                </p>
              </Empty>
            )
          }
        </Listing>
      </Section>
    </>
  );
}

function Nothing({ what, filtered }: { what: string; filtered: boolean }) {
  if (filtered) return <Empty title={`No ${what} matches`}>Change a filter, or set all to any.</Empty>;
  return (
    <Empty title={`There is no ${what} yet`}>
      <a href="/new">Describe a model and a workload</a>
    </Empty>
  );
}
