import { useState } from "preact/hooks";
import { useLocation, useRoute } from "preact-iso";
import { api, download, submit } from "../../api/client";
import { useJob, useResource } from "../../api/hooks";
import type { Device, Prediction, Run, Simulation, Timeline } from "../../api/types";
import { POINTS, TimelineView } from "../../charts/timeline_view";
import { modelName, strategyText, workloadText } from "../../describe";
import { JobState } from "../../parts/job_state";
import { PageHead, Section, WhenSeen } from "../../parts/section";
import { Await, ProblemView, problemOf } from "../../parts/states";
import { CodeBlock } from "../../parts/values";
import { GraphSection } from "./graph";
import { KeyNumbers, Limitations, Phases, Verdict } from "./numbers";
import { PeakSections } from "./peak";

export function SimulationPage() {
  const { id } = useRoute().params as { id: string };
  const path = `/v1/simulations/${id}`;
  const loaded = useJob<Simulation>(path, id);
  return (
    <Await loaded={loaded} title={`Simulation ${id}`} others="/simulations">
      {(simulation) => <View simulation={simulation} path={path} />}
    </Await>
  );
}

function View({ simulation, path }: { simulation: Simulation; path: string }) {
  const { request, prediction } = simulation;
  return (
    <>
      <PageHead
        title={modelName(request.model)}
        kicker={<>Simulation {simulation.id}</>}
        actions={<Actions simulation={simulation} path={path} />}
      >
        {workloadText(request.workload)} on <strong>{request.device}</strong>, {strategyText(request.strategy)}
      </PageHead>
      <JobState job={simulation} path={path} />
      {prediction && <Predicted simulation={simulation} prediction={prediction} path={path} />}
      <Section title="Request">
        <CodeBlock label="The request as JSON" text={JSON.stringify(request, null, 2)} />
      </Section>
    </>
  );
}

function Predicted(props: { simulation: Simulation; prediction: Prediction; path: string }) {
  const { simulation, prediction, path } = props;
  const device = useDevice(simulation.request.device);
  const timeline = useResource<Timeline>(`${path}/timeline?max_points=${POINTS}`);
  const limit = device?.memory_bytes ? { label: `Memory of ${device.name}`, bytes: device.memory_bytes } : null;
  return (
    <>
      <Verdict prediction={prediction} device={simulation.request.device} />
      <KeyNumbers prediction={prediction} />
      <Section title="Memory over time" note="live bytes after each allocation and release, by what they are for">
        <Await loaded={timeline} what="Replaying the tape">
          {(data) => <TimelineView timeline={data} path={`${path}/timeline`} limit={limit} />}
        </Await>
        <Phases prediction={prediction} />
      </Section>
      <PeakSections path={path} prediction={prediction} />
      <WhenSeen>{() => <GraphSection path={path} />}</WhenSeen>
      <Limitations items={prediction.limitations} />
    </>
  );
}

/** The profile, for its memory; null until it is known. */
export function useDevice(name: string): Device | null {
  return useResource<Device>(`/v1/devices/${encodeURIComponent(name)}`).data;
}

function Actions({ simulation, path }: { simulation: Simulation; path: string }) {
  const { route } = useLocation();
  const [error, setError] = useState<unknown>(null);
  const attempt = (work: () => Promise<void>) => () => work().catch(setError);
  const run = attempt(async () => {
    const made = await submit<Run>("/v1/runs", { simulation_id: simulation.id });
    route(`/runs/${made.id}`);
  });
  const remove = attempt(async () => {
    if (!confirm("Delete this simulation?")) return;
    await api(path, { method: "DELETE" });
    route("/simulations");
  });
  const done = simulation.status === "succeeded";
  return (
    <>
      {done && (
        <button type="button" class="primary" onClick={run}>
          Run for real
        </button>
      )}
      <a class="button" href={`/new?from=${simulation.id}`}>
        Change or plan
      </a>
      {done && (
        <a class="button" href={`/compare?a=${simulation.id}`}>
          Compare
        </a>
      )}
      {done && <Exports path={path} id={simulation.id} />}
      {done && (
        <button type="button" onClick={remove}>
          Delete
        </button>
      )}
      {error !== null && <ProblemView problem={problemOf(error)} />}
    </>
  );
}

const FORMATS: [string, string, string][] = [
  ["graphml", "graphml", "Graph (GraphML)"],
  ["node-link", "json", "Graph (JSON)"],
  ["chrome-trace", "trace.json", "Trace (Perfetto)"],
  ["memory-snapshot", "pickle", "Snapshot (memory_viz)"],
  ["csv", "csv", "Every storage (CSV)"],
  ["parquet", "parquet", "Every storage (Parquet)"],
  ["arena", "arena.csv", "Buffers of one arena (CSV)"],
];

export function Exports({ path, id }: { path: string; id: string }) {
  const save = (event: Event) => {
    const select = event.currentTarget as HTMLSelectElement;
    const format = FORMATS.find(([name]) => name === select.value);
    select.value = "";
    if (format) void download(`${path}/export?format=${format[0]}`, `${id}.${format[1]}`);
  };
  return (
    <select class="export" aria-label="Export as a file" onChange={save}>
      <option value="">Export …</option>
      {FORMATS.map(([name, , label]) => (
        <option value={name}>{label}</option>
      ))}
    </select>
  );
}

