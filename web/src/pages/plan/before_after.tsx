import { useState } from "preact/hooks";
import { submit } from "../../api/client";
import { useJob, useResource } from "../../api/hooks";
import type { Plan, Prediction, Simulation, Timeline } from "../../api/types";
import { POINTS, TimelineView } from "../../charts/timeline_view";
import { CategoryBar } from "../../parts/category_bar";
import { JobState } from "../../parts/job_state";
import { Section } from "../../parts/section";
import { Await, ProblemView, problemOf } from "../../parts/states";
import { Bytes } from "../../parts/values";
import { simulationOf } from "./frontier";

/** The step with the plan's strategy beside the one without, on the same scale. */
export function BeforeAfter({ plan, path }: { plan: Plan; path: string }) {
  const [before, setBefore] = useState<string | null>(null);
  const [error, setError] = useState<unknown>(null);
  const timeline = useResource<Timeline>(`${path}/timeline?max_points=${POINTS}`);
  const show = () =>
    void submit<Simulation>("/v1/simulations", simulationOf(plan, null)).then(
      (simulation) => setBefore(simulation.id),
      setError,
    );
  const limit = plan.budget_bytes === null ? null : { label: "Budget", bytes: plan.budget_bytes };
  const ceiling = before ? (plan.baseline?.peak_bytes ?? 0) : 0;
  return (
    <Section
      title="Before and after"
      note="peaks by category, on one scale"
      actions={
        before === null && (
          <button type="button" class="small" onClick={show}>
            Show the step before, over time
          </button>
        )
      }
    >
      {error !== null && <ProblemView problem={problemOf(error)} />}
      <Peaks plan={plan} />
      {before !== null && <Before id={before} ceiling={ceiling} limit={limit} />}
      <h3 class="over-time">{plan.feasible ? "With the plan" : "The smallest step found"}, over time</h3>
      <Await loaded={timeline} what="Replaying the tape">
        {(data) => (
          <TimelineView timeline={data} path={`${path}/timeline`} limit={limit} ceiling={ceiling} label="The planned step" />
        )}
      </Await>
    </Section>
  );
}

function Peaks({ plan }: { plan: Plan }) {
  const steps: [string, Prediction | null][] = [
    ["before", plan.baseline],
    ["after", plan.prediction],
  ];
  const scale = Math.max(...steps.map(([, prediction]) => prediction?.peak_bytes ?? 0));
  return (
    <>
      {steps.map(
        ([name, prediction]) =>
          prediction && (
            <div class="peaks">
              <span>{name}</span>
              <CategoryBar parts={prediction.at_peak} total={prediction.peak_bytes} scale={scale} />
              <Bytes value={prediction.peak_bytes} />
            </div>
          ),
      )}
    </>
  );
}

function Before(props: { id: string; ceiling: number; limit: { label: string; bytes: number } | null }) {
  const path = `/v1/simulations/${props.id}`;
  const simulation = useJob<Simulation>(path, props.id);
  const done = simulation.data?.status === "succeeded";
  const timeline = useResource<Timeline>(done ? `${path}/timeline?max_points=${POINTS}` : null);
  return (
    <>
      <h3 class="over-time">
        <a href={`/simulations/${props.id}`}>Without it</a>, over time
      </h3>
      <Await loaded={simulation}>{(job) => <JobState job={job} path={path} />}</Await>
      {done && (
        <Await loaded={timeline} what="Replaying the tape">
          {(data) => (
            <TimelineView timeline={data} path={`${path}/timeline`} limit={props.limit} ceiling={props.ceiling} label="The unplanned step" />
          )}
        </Await>
      )}
    </>
  );
}
