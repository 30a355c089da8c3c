import { useLocation } from "preact-iso";
import { useChanges, useResource } from "../../api/hooks";
import type { Page, Run, Worker } from "../../api/types";
import { Listing, STATUSES, type Filter } from "../../parts/listing";
import { PageHead, Section } from "../../parts/section";
import { Await, Empty } from "../../parts/states";
import { Table, type Column } from "../../parts/table";
import { Bytes, Status } from "../../parts/values";
import { ago, bytes, moment, relativeError } from "../../units";
import { ErrorSection } from "./errors";

const FILTERS: Filter[] = [
  { name: "status", label: "Status", options: [...STATUSES, ["out_of_memory", "out of memory"]] },
  { name: "model_type", label: "Model type" },
  { name: "task", label: "Task" },
  { name: "device", label: "Device" },
];

const COLUMNS: Column<Run>[] = [
  { title: "Model", cell: (run) => <a href={`/runs/${run.id}`}>{run.model_type ?? "of layers"}</a> },
  { title: "Of", cell: (run) => <Subject run={run} /> },
  { title: "Device", cell: (run) => run.device },
  { title: "Predicted", number: true, cell: (run) => <Bytes value={run.predicted.peak_bytes} /> },
  { title: "Measured", number: true, cell: (run) => <Bytes value={run.measured?.peak_bytes} /> },
  { title: "Error", number: true, cell: (run) => (run.relative_error === null ? "–" : relativeError(run.relative_error)) },
  { title: "Status", cell: (run) => <Status status={run.status} /> },
  {
    title: "Asked",
    cell: (run) => (
      <time dateTime={run.created_at} title={moment(run.created_at)}>
        {ago(run.created_at)}
      </time>
    ),
  },
];

export function Subject({ run }: { run: Run }) {
  return run.plan_id ? (
    <a href={`/plans/${run.plan_id}`}>a plan</a>
  ) : (
    <a href={`/simulations/${run.simulation_id}`}>a simulation</a>
  );
}

export function RunsPage() {
  return (
    <>
      <PageHead title="Runs">What was predicted, beside what real executions measured.</PageHead>
      <Workers />
      <ErrorSection />
      <Section title="All runs" note="newest first">
        <Listing<Run> path="/v1/runs" kind="run" filters={FILTERS}>
          {(items, filtered) =>
            items.length === 0 ? (
              <Empty title={filtered ? "No run matches" : "Nothing was run yet"}>
                {filtered ? "Change a filter, or set all to any." : "Run a simulation or a plan from its page."}
              </Empty>
            ) : (
              <Table stacked label="Runs" columns={COLUMNS} rows={items} />
            )
          }
        </Listing>
      </Section>
    </>
  );
}

const STATES: Record<string, string> = { online: "●", busy: "◐", lost: "✕", stopped: "○" };

function Workers() {
  const { route } = useLocation();
  const loaded = useResource<Page<Worker>>("/v1/workers");
  useChanges(["worker", "run", "simulation", "plan", "design_search"], loaded.reload, 1_000);
  const columns: Column<Worker>[] = [
    { title: "Worker", cell: (worker) => <code>{worker.id}</code> },
    {
      title: "State",
      cell: (worker) => (
        <span class={`worker-${worker.state}`}>
          <span aria-hidden="true">{STATES[worker.state] ?? "·"} </span>
          {worker.state}
        </span>
      ),
    },
    { title: "Device", cell: (worker) => deviceText(worker) },
    { title: "Labels", cell: (worker) => Object.entries(worker.labels).map(([name, value]) => <code class="label">{`${name}=${value}`}</code>) },
    { title: "Takes", cell: (worker) => (worker.simulates ? "predictions and runs" : "runs") },
    {
      title: "At work on",
      cell: (worker) =>
        worker.jobs.length === 0
          ? "–"
          : worker.jobs.map((id) => (
              <button type="button" class="link" onClick={() => route(pathOf(id))}>
                {id.slice(0, 12)}…
              </button>
            )),
    },
    { title: "Last seen", cell: (worker) => ago(worker.last_seen_at) },
    { title: "Versions", cell: (worker) => versionsText(worker) },
  ];
  return (
    <Section title="Workers" note="as they are now">
      <Await loaded={loaded}>
        {({ items }) =>
          items.length === 0 ? (
            <Empty title="No worker is attached">
              <code>headroom worker</code> starts one.
            </Empty>
          ) : (
            <Table stacked label="Workers" columns={columns} rows={items} />
          )
        }
      </Await>
    </Section>
  );
}

function deviceText({ device, hostname }: Worker): string {
  const memory = device.memory_bytes ? `, ${bytes(device.memory_bytes)}` : "";
  return `${device.name ?? device.kind ?? "unknown"}${memory} on ${hostname}`;
}

function versionsText({ versions, differs_in }: Worker): string {
  const torch = `torch ${versions["torch"] ?? "?"}`;
  return differs_in.length > 0 ? `${torch}; differs in ${differs_in.join(", ")}` : torch;
}

function pathOf(id: string): string {
  const kinds: Record<string, string> = { plan: "plans", run: "runs", search: "design-searches" };
  return `/${kinds[id.split("_")[0]!] ?? "simulations"}/${id}`;
}
