import { useLocation } from "preact-iso";
import { useEffect, useState } from "preact/hooks";
import { ApiError, submit } from "../../api/client";
import { useResource } from "../../api/hooks";
import type { Device, Job, ModelCatalogue, Page, Plan, Problem, Simulation, Technique } from "../../api/types";
import { FieldErrors } from "../../parts/field";
import { PageHead, Section } from "../../parts/section";
import { Await, Loading, ProblemView, problemOf } from "../../parts/states";
import { CodeBlock } from "../../parts/values";
import { curlOf, draftOf, emptyDraft, errorsOf, planBody, simulationBody, type Draft, type Errors } from "./draft";
import { ModelPart } from "./model";
import { BudgetPart, StrategyPart } from "./strategy";
import { WorkloadPart } from "./workload";
import "../../styles/form.css";

export function NewPage() {
  const { query } = useLocation();
  const from = query["from"] ?? null;
  const models = useResource<ModelCatalogue>("/v1/models");
  const devices = useResource<Page<Device>>("/v1/devices");
  const techniques = useResource<Page<Technique>>("/v1/techniques");
  const origin = useResource<Simulation | Plan>(
    from === null ? null : `/v1/${from.startsWith("plan_") ? "plans" : "simulations"}/${from}`,
  );
  return (
    <>
      <PageHead title="New prediction or plan">
        Describe a model and what is done with it. Nothing is downloaded: no weights, no code.
      </PageHead>
      {from !== null && origin.error !== null && <ProblemView problem={problemOf(origin.error)} />}
      <Await loaded={models} what="Loading the catalogue">
        {(catalogue) => (
          <Await loaded={devices}>
            {({ items }) =>
              from !== null && origin.data === null && origin.error === null ? (
                <Loading />
              ) : (
                <Form
                  key={from}
                  start={origin.data ? draftOf(origin.data.request) : emptyDraft()}
                  unplanned={origin.data && unplannedPeak(origin.data)}
                  models={catalogue}
                  devices={items}
                  techniques={techniques.data?.items ?? []}
                />
              )
            }
          </Await>
        )}
      </Await>
    </>
  );
}

/** What the step takes that the form starts from, with nothing applied. */
function unplannedPeak(origin: Simulation | Plan): number | null {
  const prediction = "baseline" in origin ? origin.baseline : origin.prediction;
  return prediction?.peak_bytes ?? null;
}

interface FormProps {
  start: Draft;
  unplanned: number | null;
  models: ModelCatalogue;
  devices: Device[];
  techniques: Technique[];
}

type Kind = "simulations" | "plans";

function Form({ start, unplanned, models, devices, techniques }: FormProps) {
  const { route } = useLocation();
  const [draft, setDraft] = useState(start);
  const [refused, setRefused] = useState<Problem | null>(null);
  const [sending, setSending] = useState<Kind | null>(null);
  const local = errorsOf(draft, models.model_types);
  const change = (changes: Partial<Draft>) => {
    setDraft((before) => ({ ...before, ...changes }));
    setRefused(null); // what the service said was of the request before
  };
  const send = async (kind: Kind) => {
    setSending(kind);
    try {
      const body = kind === "plans" ? planBody(draft) : simulationBody(draft);
      const job = await submit<Job>(`/v1/${kind}`, body);
      route(`/${kind}/${job.id}`);
    } catch (error) {
      setRefused(problemOf(error));
      if (!(error instanceof ApiError)) console.error(error);
    } finally {
      setSending(null);
    }
  };
  const part = { draft, change };
  return (
    <FieldErrors.Provider value={withRefusal(local, refused)}>
      <form class="new-form" onSubmit={(event) => (event.preventDefault(), void send("simulations"))}>
        <div>
          <ModelPart {...part} models={models} />
          <WorkloadPart {...part} devices={devices} />
        </div>
        <div>
          <StrategyPart {...part} />
          <BudgetPart {...part} unplanned={unplanned} devices={devices} techniques={techniques} />
          <Refusal problem={refused} />
          <div class="submit">
            <button class="primary" disabled={local.size > 0 || sending !== null}>
              Predict
            </button>
            <button
              type="button"
              disabled={local.size > 0 || sending !== null || draft.workload.mode !== "train"}
              title={draft.workload.mode === "train" ? undefined : "Plans are for training"}
              onClick={() => void send("plans")}
            >
              Plan for the budget
            </button>
            {local.size > 0 && <span class="note">Mend the marked fields first.</span>}
          </div>
          <RequestPreview draft={draft} />
        </div>
      </form>
    </FieldErrors.Provider>
  );
}

/** Errors seen here, and those that the service found. */
function withRefusal(local: Errors, refused: Problem | null): Errors {
  const errors = new Map(local);
  for (const { pointer, detail, remedy } of refused?.errors ?? []) {
    if (pointer) errors.set(pointer, remedy ? `${detail}; ${remedy}` : detail);
  }
  return errors;
}

function Refusal({ problem }: { problem: Problem | null }) {
  useEffect(() => {
    if (problem) document.querySelector<HTMLElement>("[aria-invalid=true]")?.focus();
  }, [problem]);
  return problem && <ProblemView problem={problem} />;
}

function RequestPreview({ draft }: { draft: Draft }) {
  const [kind, setKind] = useState<Kind>("simulations");
  const [form, setForm] = useState<"json" | "curl">("json");
  const body = kind === "plans" ? planBody(draft) : simulationBody(draft);
  const path = `/v1/${kind}`;
  const text = form === "curl" ? curlOf(path, body, location.origin) : JSON.stringify(body, null, 2);
  return (
    <Section
      title="The request"
      note={<code>POST {path}</code>}
      actions={
        <>
          <select aria-label="Kind of request" value={kind} onChange={(event) => setKind(event.currentTarget.value as Kind)}>
            <option value="simulations">prediction</option>
            <option value="plans">plan</option>
          </select>
          <select aria-label="Form" value={form} onChange={(event) => setForm(event.currentTarget.value as "json" | "curl")}>
            <option value="json">JSON</option>
            <option value="curl">curl</option>
          </select>
        </>
      }
    >
      <CodeBlock text={text} label="The request" />
    </Section>
  );
}
