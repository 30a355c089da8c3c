import { useLocation, useRoute } from "preact-iso";
import { useState } from "preact/hooks";
import { api } from "../../api/client";
import { useJob, useResource } from "../../api/hooks";
import type { Run, RunTimeline } from "../../api/types";
import { Overlay } from "../../charts/overlay";
import { JobState } from "../../parts/job_state";
import { PageHead, Section } from "../../parts/section";
import { Await, ProblemView, problemOf } from "../../parts/states";
import { Table, type Column } from "../../parts/table";
import { Bytes, CodeBlock, Figure, Figures } from "../../parts/values";
import { added, relativeError, seconds } from "../../units";
import { Subject } from "./list";

export function RunPage() {
  const { id } = useRoute().params as { id: string };
  const path = `/v1/runs/${id}`;
  const loaded = useJob<Run>(path, id);
  return (
    <Await loaded={loaded} title={`Run ${id}`} others="/runs">
      {(run) => <View run={run} path={path} />}
    </Await>
  );
}

function View({ run, path }: { run: Run; path: string }) {
  return (
    <>
      <PageHead
        title={`Run of ${run.model_type ?? "a network of layers"}`}
        kicker={<>Run {run.id}</>}
        actions={<Delete run={run} path={path} />}
      >
        {run.mode} of <Subject run={run} /> for {run.device}
        {run.worker && <>, on {run.worker.hostname} ({run.worker.device.name ?? run.worker.device.kind})</>}
      </PageHead>
      <JobState job={run} path={path} />
      {run.measured && <Verdict run={run} />}
      <Numbers run={run} />
      {run.measured && <Measured run={run} path={path} />}
      {run.environment && (
        <Section title="Environment" note="what it ran on">
          <CodeBlock label="Environment as JSON" text={JSON.stringify(run.environment, null, 2)} />
        </Section>
      )}
    </>
  );
}

function Verdict({ run }: { run: Run }) {
  const error = run.relative_error;
  if (error === null) return null;
  const difference = run.predicted.peak_bytes - run.measured!.peak_bytes;
  const held = Math.abs(error) < 0.01;
  return (
    <p class={`verdict ${held ? "verdict-good" : "verdict-bad"}`}>
      <strong>{error === 0 ? "✓ Exact to the byte" : held ? "✓ The prediction held" : "✕ The prediction is off"}</strong>
      {error !== 0 && (
        <>
          : {Math.abs(difference).toLocaleString("en-US")} bytes {difference > 0 ? "too many" : "too few"} (
          {relativeError(error)})
        </>
      )}
      .
    </p>
  );
}

function Numbers({ run }: { run: Run }) {
  const { predicted, measured, baseline, gradients_match: gradients } = run;
  return (
    <Figures>
      <Figure label="Predicted peak" note={`in ${predicted.peak_phase}`}>
        <Bytes value={predicted.peak_bytes} />
      </Figure>
      <Figure label="Measured peak" note={measured && `in ${measured.peak_phase}`}>
        <Bytes value={measured?.peak_bytes} />
      </Figure>
      {measured?.reserved_bytes != null && (
        <Figure label="Reserved, measured">
          <Bytes value={measured.reserved_bytes} />
        </Figure>
      )}
      {measured?.device_bytes != null && (
        <Figure label="Of the device, measured">
          <Bytes value={measured.device_bytes} />
        </Figure>
      )}
      {measured?.step_seconds != null && (
        <Figure
          label="A step took"
          note={predicted.step_seconds === null ? null : `predicted ${seconds(predicted.step_seconds)}`}
        >
          {seconds(measured.step_seconds)}
        </Figure>
      )}
      {baseline && (
        <Figure label="Without the plan, measured" note={baseline.reason}>
          <Bytes value={baseline.measured?.peak_bytes} />
        </Figure>
      )}
      {run.slowdown !== null && (
        <Figure label="Time of the plan" note="measured, beside the step without it">
          {added(run.slowdown)}
        </Figure>
      )}
      {gradients && (
        <Figure label="Loss and gradients" note={`of ${gradients.parameters} parameters`}>
          {gradients.bitwise ? "✓ the same to the bit" : gradients.match ? "✓ the same within rounding" : "✕ differ"}
        </Figure>
      )}
    </Figures>
  );
}

type PhaseRow = NonNullable<Run["phases"]>[number];

const PHASES: Column<PhaseRow>[] = [
  { title: "Phase", cell: (phase) => phase.name },
  { title: "Predicted peak", number: true, cell: (phase) => <Bytes value={phase.predicted_peak_bytes} /> },
  { title: "Measured peak", number: true, cell: (phase) => <Bytes value={phase.measured_peak_bytes} /> },
  {
    title: "Error",
    number: true,
    cell: (phase) => (phase.relative_error === null ? "–" : relativeError(phase.relative_error)),
  },
];

function Measured({ run, path }: { run: Run; path: string }) {
  const timeline = useResource<RunTimeline>(`${path}/timeline?max_points=3000`);
  return (
    <>
      <Section title="Predicted and measured" note="live bytes; each phase is drawn as wide as any other">
        <Await loaded={timeline}>{(data) => <Overlay timeline={data} />}</Await>
      </Section>
      {run.phases && (
        <Section title="Phase by phase">
          <Table label="Peaks of each phase" columns={PHASES} rows={run.phases} />
        </Section>
      )}
      {run.measured?.notes && run.measured.notes.length > 0 && (
        <Section title="Notes">
          <ul class="bullets">
            {run.measured.notes.map((text) => (
              <li>{text}</li>
            ))}
          </ul>
        </Section>
      )}
    </>
  );
}

function Delete({ run, path }: { run: Run; path: string }) {
  const { route } = useLocation();
  const [error, setError] = useState<unknown>(null);
  if (run.status === "queued" || run.status === "running") return null;
  const remove = async () => {
    if (!confirm("Delete this run?")) return;
    await api(path, { method: "DELETE" });
    route("/runs");
  };
  return (
    <>
      <button type="button" onClick={() => void remove().catch(setError)}>
        Delete
      </button>
      {error !== null && <ProblemView problem={problemOf(error)} />}
    </>
  );
}
