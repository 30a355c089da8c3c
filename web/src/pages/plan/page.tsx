import { useLocation, useRoute } from "preact-iso";
import { useState } from "preact/hooks";
import { api, submit } from "../../api/client";
import { useJob } from "../../api/hooks";
import type { Plan, Run } from "../../api/types";
import { modelName, workloadText } from "../../describe";
import { JobState } from "../../parts/job_state";
import { PageHead, Section, WhenSeen } from "../../parts/section";
import { Await, ProblemView, problemOf } from "../../parts/states";
import { Bytes, CodeBlock, Figure, Figures } from "../../parts/values";
import { added, bytes, integer, relativeError, seconds } from "../../units";
import { GraphSection } from "../simulation/graph";
import { Limitations } from "../simulation/numbers";
import { Exports } from "../simulation/page";
import { PeakSections } from "../simulation/peak";
import { BeforeAfter } from "./before_after";
import { Frontier, FrontierSoFar } from "./frontier";
import "../../styles/plan.css";

export function PlanPage() {
  const { id } = useRoute().params as { id: string };
  const path = `/v1/plans/${id}`;
  const loaded = useJob<Plan>(path, id);
  return (
    <Await loaded={loaded} title={`Plan ${id}`} others="/plans">
      {(plan) => <View plan={plan} path={path} />}
    </Await>
  );
}

function View({ plan, path }: { plan: Plan; path: string }) {
  const { request } = plan;
  const budget = plan.budget_bytes ?? request.budget.memory;
  return (
    <>
      <PageHead
        title={modelName(request.model)}
        kicker={<>Plan {plan.id}</>}
        actions={<Actions plan={plan} path={path} />}
      >
        {workloadText(request.workload)} on <strong>{request.device}</strong>
        {budget !== null && <>, within {bytes(budget)}</>}
      </PageHead>
      <JobState job={plan} path={path} />
      {plan.status === "running" && <FrontierSoFar progress={plan.progress} budget={budget} />}
      {plan.status === "succeeded" && <Found plan={plan} path={path} />}
      <Section title="Request">
        <CodeBlock label="The request as JSON" text={JSON.stringify(request, null, 2)} />
      </Section>
    </>
  );
}

function Found({ plan, path }: { plan: Plan; path: string }) {
  return (
    <>
      <Verdict plan={plan} />
      <KeyNumbers plan={plan} />
      <Frontier plan={plan} />
      <BeforeAfter plan={plan} path={path} />
      {plan.prediction && <PeakSections path={path} prediction={plan.prediction} />}
      <WhenSeen>{() => <GraphSection path={path} />}</WhenSeen>
      <Limitations items={[...new Set([...(plan.limitations ?? []), ...(plan.prediction?.limitations ?? [])])]} />
    </>
  );
}

function Verdict({ plan }: { plan: Plan }) {
  const { infeasible, solved } = plan;
  if (plan.feasible) {
    return (
      <p class="verdict verdict-good">
        <strong>✓ It fits</strong>
        {plan.overhead && <>: the step takes {added(plan.overhead.step_seconds_ratio)} time</>}
        {plan.overhead && <> and computes {added(plan.overhead.recompute_flops_ratio)}</>}.
        {solved && (
          <>
            {" "}
            Found: {solved.field.replaceAll("_", " ")} <strong>{solved.value}</strong>
            {solved.too_large !== null && <>; {solved.too_large} does not fit</>}.
          </>
        )}
      </p>
    );
  }
  if (!infeasible) return null;
  return (
    <div class="verdict verdict-bad">
      <p>
        <strong>✕ Nothing fits this budget.</strong> The least that was found is{" "}
        <Bytes value={infeasible.smallest_budget_bytes} />, in {infeasible.phase}.
      </p>
      <h3>What would make it fit</h3>
      <ul class="bullets">
        {infeasible.remedies.map((text) => (
          <li>{text}</li>
        ))}
      </ul>
      <details>
        <summary>What holds it</summary>
        <ul class="bullets">
          {infeasible.held_by.map((text) => (
            <li>{text}</li>
          ))}
        </ul>
      </details>
    </div>
  );
}

function KeyNumbers({ plan }: { plan: Plan }) {
  const { solver } = plan;
  return (
    <Figures>
      <Figure label="Budget">
        <Bytes value={plan.budget_bytes} />
      </Figure>
      <Figure label="Planned peak" note={plan.prediction && `in ${plan.prediction.peak_phase}`}>
        <Bytes value={plan.prediction?.peak_bytes} />
      </Figure>
      <Figure label="Unplanned peak" note={plan.baseline && `in ${plan.baseline.peak_phase}`}>
        <Bytes value={plan.baseline?.peak_bytes} />
      </Figure>
      {plan.overhead && <Figure label="Step time">{added(plan.overhead.step_seconds_ratio)}</Figure>}
      {plan.overhead && <Figure label="Computation">{added(plan.overhead.recompute_flops_ratio)}</Figure>}
      {solver && (
        <Figure
          label={`Solver ${solver.name}`}
          note={`${integer(solver.simulations)} steps simulated in ${seconds(solver.simulate_seconds)}; its estimate: ${relativeError(solver.estimate_error)}`}
        >
          {seconds(solver.solve_seconds)}
        </Figure>
      )}
    </Figures>
  );
}

function Actions({ plan, path }: { plan: Plan; path: string }) {
  const { route } = useLocation();
  const [error, setError] = useState<unknown>(null);
  const attempt = (work: () => Promise<void>) => () => void work().catch(setError);
  const run = attempt(async () => {
    const made = await submit<Run>("/v1/runs", { plan_id: plan.id });
    route(`/runs/${made.id}`);
  });
  const remove = attempt(async () => {
    if (!confirm("Delete this plan?")) return;
    await api(path, { method: "DELETE" });
    route("/plans");
  });
  const done = plan.status === "succeeded";
  return (
    <>
      {plan.feasible && (
        <button type="button" class="primary" onClick={run}>
          Run for real
        </button>
      )}
      <a class="button" href={`/new?from=${plan.id}`}>
        Change
      </a>
      {done && <Exports path={path} id={plan.id} />}
      {done && (
        <button type="button" onClick={remove}>
          Delete
        </button>
      )}
      {error !== null && <ProblemView problem={problemOf(error)} />}
    </>
  );
}
