import { useLocation, useRoute } from "preact-iso";
import { useMemo, useState } from "preact/hooks";
import { api, submit } from "../../api/client";
import { isFinal, useJob } from "../../api/hooks";
import type { DesignSearch, DesignSearchProgress, Run, VariedAxis } from "../../api/types";
import { modelName, workloadText } from "../../describe";
import { JobState } from "../../parts/job_state";
import { PageHead, Section } from "../../parts/section";
import { Await, ProblemView, problemOf } from "../../parts/states";
import { Table, type Column } from "../../parts/table";
import { CodeBlock, Figure, Figures } from "../../parts/values";
import { integer } from "../../units";
import { Limitations } from "../simulation/numbers";
import { Designs } from "./designs";
import { METRICS, axisNames, choicesText, goalText, metricText, valueText } from "./measures";
import "../../styles/designs.css";

export function DesignSearchPage() {
  const { id } = useRoute().params as { id: string };
  const path = `/v1/design-searches/${id}`;
  const loaded = useJob<DesignSearch>(path, id);
  return (
    <Await loaded={loaded} title={`Design search ${id}`} others="/design-searches">
      {(search) => <View search={search} path={path} />}
    </Await>
  );
}

const DOING: Record<string, string> = {
  recall: "looking through the store",
  initial: "spreading designs over the space",
  proposed: "simulating what is proposed",
};

function View({ search, path }: { search: DesignSearch; path: string }) {
  const { request } = search;
  const names = useMemo(() => axisNames(request.vary.map((axis) => axis.pointer)), [search]);
  const progress = search.progress as DesignSearchProgress | null;
  const doing = { ...search, progress: { phase: DOING[progress?.phase ?? ""] ?? null } };
  return (
    <>
      <PageHead
        title={modelName(request.model)}
        kicker={<>Design search {search.id}</>}
        actions={<Actions search={search} path={path} />}
      >
        {goalText(request)}; starting from {workloadText(request.workload)} on <strong>{request.device}</strong>
      </PageHead>
      <JobState job={doing} path={path} />
      {search.status === "running" && progress && <SoFar search={search} progress={progress} names={names} />}
      {search.status === "succeeded" && <Verdict search={search} names={names} />}
      {search.status === "succeeded" && <KeyNumbers search={search} />}
      <Space search={search} names={names} />
      {search.status === "succeeded" && (
        <>
          <Designs search={search} names={names} />
          <Untried search={search} names={names} />
          <Limitations items={search.limitations ?? []} />
        </>
      )}
      <Section title="Request">
        <CodeBlock label="The request as JSON" text={JSON.stringify(request, null, 2)} />
      </Section>
    </>
  );
}

interface Part {
  search: DesignSearch;
  names: Map<string, string>;
}

function SoFar({ search, progress, names }: Part & { progress: DesignSearchProgress }) {
  const { evaluations = 0, most_evaluations: most = search.request.evaluations, best, best_value: value } = progress;
  return (
    <Section title="So far" note={`${integer(evaluations)} of at most ${integer(most)} designs simulated`}>
      <progress value={evaluations} max={most} aria-label="Designs simulated" />
      <p class="more">
        {best ? (
          <>
            Best {METRICS[search.request.objective].toLowerCase()}:{" "}
            <strong>{metricText(search.request.objective, value)}</strong> with {choicesText(best, names)}
          </>
        ) : (
          "No feasible design yet."
        )}
      </p>
    </Section>
  );
}

function Verdict({ search, names }: Part) {
  const { best, best_value: value, request } = search;
  if (best === null) {
    return (
      <p class="verdict verdict-bad">
        <strong>✕ No design simulated is feasible.</strong> The table below says what each one breaks
        {search.untried && search.untried.length > 0 && <>; the designs left are further down</>}.
      </p>
    );
  }
  return (
    <p class="verdict verdict-good">
      <strong>
        ✓ Best {METRICS[request.objective].toLowerCase()} {metricText(request.objective, value)}
      </strong>{" "}
      with {choicesText(best.choices, names)}.
    </p>
  );
}

function KeyNumbers({ search }: { search: DesignSearch }) {
  const { best, random_search: random, request, designs } = search;
  const metrics = best?.metrics ?? null;
  const beyond = (designs ?? []).filter((design) => design.metrics !== null && !design.feasible).length;
  return (
    <Figures>
      {metrics && <Figure label="Peak of the best">{metricText("peak_bytes", metrics.peak_bytes)}</Figure>}
      {metrics && <Figure label="Step of the best">{metricText("step_seconds", metrics.step_seconds)}</Figure>}
      {metrics && <Figure label="Its parameters">{metricText("parameter_count", metrics.parameter_count)}</Figure>}
      {metrics && <Figure label="Its score">{metricText("score", metrics.score)}</Figure>}
      <Figure label="Designs simulated" note={`of ${integer(search.space_size ?? 0)}; at most ${integer(request.evaluations)}`}>
        {integer(search.evaluations ?? 0)}
      </Figure>
      <Figure label="Known from the store">{integer(search.stored ?? 0)}</Figure>
      <Figure label="Cannot be built" note="refused before simulation">
        {integer(search.refused ?? 0)}
      </Figure>
      <Figure label="Beyond a limit">{integer(beyond)}</Figure>
      {random && random.expected_value !== null && (
        <Figure label="At random, in expectation" note={regretText(random)}>
          {metricText(request.objective, random.expected_value)}
        </Figure>
      )}
    </Figures>
  );
}

function regretText({ regret, basis, evaluations }: NonNullable<DesignSearch["random_search"]>): string {
  const drawn = `${integer(evaluations)} designs drawn`;
  const source = basis === "simulated" ? drawn : `${drawn}, others as expected`;
  if (regret === null) return source;
  const percent = `${Math.abs(regret * 100).toLocaleString("en-US", { maximumFractionDigits: 1 })} %`;
  return `${percent} ${regret >= 0 ? "worse" : "better"}; ${source}`;
}

/** What varies, and what of it the best design has. */
function Space({ search, names }: Part) {
  const { best, request } = search;
  const columns: Column<VariedAxis>[] = [
    { title: "Axis", cell: (axis) => <span title={axis.pointer}>{names.get(axis.pointer)}</span> },
    ...(best === null
      ? []
      : [{ title: "The best has", cell: (axis: VariedAxis) => <strong>{valueText(best.choices[axis.pointer])}</strong> }]),
    { title: "Values", cell: (axis) => axis.values.map(valueText).join(", ") },
    { title: "Field", cell: (axis) => [axis.pointer, ...axis.also].map((pointer) => <code class="label">{pointer}</code>) },
  ];
  return (
    <Section
      title={best === null ? "The space" : "The best design"}
      note={best === null ? "every combination of these values" : "its configuration, among all combinations of these values"}
      actions={
        best?.simulation_id && (
          <>
            <a href={`/simulations/${best.simulation_id}`}>Its simulation</a>
            <a href={`/new?from=${best.simulation_id}`}>Change or plan</a>
          </>
        )
      }
    >
      <Table label="Axes of the space" columns={columns} rows={request.vary} />
    </Section>
  );
}

type UntriedRow = NonNullable<DesignSearch["untried"]>[number];

function Untried({ search, names }: Part) {
  const rows = search.untried ?? [];
  if (rows.length === 0) return null;
  const { objective } = search.request;
  const columns: Column<UntriedRow>[] = [
    ...[...names].map(([pointer, name]): Column<UntriedRow> => ({
      title: name,
      cell: ({ choices }) => valueText(choices[pointer]),
    })),
    { title: `${METRICS[objective]}, expected`, number: true, cell: ({ expected }) => metricText(objective, expected.value) },
    { title: "A deviation worse", number: true, cell: ({ expected }) => metricText(objective, expected.pessimistic) },
    { title: "Trust", cell: ({ expected }) => <span class="found">{expected.extrapolated ? "⤳ extrapolated" : "within what is known"}</span> },
  ];
  return (
    <Section title="Not simulated" note="the most promising designs that are left; expected values, and no others">
      <Table label="Designs not simulated" columns={columns} rows={rows} />
    </Section>
  );
}

function Actions({ search, path }: { search: DesignSearch; path: string }) {
  const { route } = useLocation();
  const [error, setError] = useState<unknown>(null);
  const attempt = (work: () => Promise<void>) => () => void work().catch(setError);
  const best = search.best?.simulation_id;
  const run = attempt(async () => {
    const made = await submit<Run>("/v1/runs", { simulation_id: best });
    route(`/runs/${made.id}`);
  });
  const remove = attempt(async () => {
    if (!confirm("Delete this design search? The simulations of its designs stay.")) return;
    await api(path, { method: "DELETE" });
    route("/design-searches");
  });
  return (
    <>
      {best && (
        <button type="button" class="primary" onClick={run}>
          Run the best for real
        </button>
      )}
      {isFinal(search) && (
        <button type="button" onClick={remove}>
          Delete
        </button>
      )}
      {error !== null && <ProblemView problem={problemOf(error)} />}
    </>
  );
}
