import type { ComponentChildren } from "preact";
import { useChanges, useResource } from "../api/hooks";
import type { Job, Page, Plan, Run, Simulation } from "../api/types";
import { modelName, workloadText } from "../describe";
import { Section, PageHead } from "../parts/section";
import { Await, Empty } from "../parts/states";
import { Bytes, Status } from "../parts/values";
import { ago, count, relativeError } from "../units";

const NEWEST = "?limit=6";

export function Home() {
  const simulations = useResource<Page<Simulation>>(`/v1/simulations${NEWEST}`);
  const plans = useResource<Page<Plan>>(`/v1/plans${NEWEST}`);
  const runs = useResource<Page<Run>>(`/v1/runs${NEWEST}`);
  useChanges(["simulation", "plan", "run"], () => {
    simulations.reload();
    plans.reload();
    runs.reload();
  });
  return (
    <>
      <PageHead
        title="Headroom"
        actions={
          <a class="button primary" href="/new">
            New prediction or plan
          </a>
        }
      >
        Where the memory of a PyTorch workload goes, what makes it fit, and whether the prediction held.
      </PageHead>
      <div class="columns">
        <Section title="Simulations" note="predicted peaks" actions={<a href="/simulations">All</a>}>
          <Await loaded={simulations}>
            {(page) => (
              <Newest items={page.items} path="/simulations" empty="Nothing predicted yet" start>
                {predicted}
              </Newest>
            )}
          </Await>
        </Section>
        <Section title="Plans" note="peaks they reach" actions={<a href="/plans">All</a>}>
          <Await loaded={plans}>
            {(page) => (
              <Newest items={page.items} path="/plans" empty="Nothing planned yet" start>
                {predicted}
              </Newest>
            )}
          </Await>
        </Section>
        <Section title="Runs" note="did the prediction hold?" actions={<a href="/runs">All</a>}>
          <Await loaded={runs}>
            {(page) => (
              <Newest items={page.items} path="/runs" empty="Nothing measured yet">
                {(item) => ({
                  name: item.model_type ?? "layers",
                  value: item.relative_error === null ? "–" : errorText(item.relative_error),
                  words: `of a ${item.plan_id ? "plan" : "simulation"} for ${item.device}`,
                })}
              </Newest>
            )}
          </Await>
        </Section>
      </div>
    </>
  );
}

function errorText(error: number): string {
  return error === 0 ? "exact" : `off by ${relativeError(error)}`;
}

interface Row {
  name: string;
  size?: number;
  value: ComponentChildren;
  words: string;
}

/** Of a simulation or a plan: both have a request and predict its peak. */
function predicted(item: Simulation | Plan): Row {
  return {
    name: modelName(item.request.model),
    size: item.prediction?.parameter_count,
    value: <Bytes value={item.prediction?.peak_bytes} />,
    words: `${workloadText(item.request.workload)} on ${item.request.device}`,
  };
}

function Newest<Item extends Job>(props: {
  items: Item[];
  path: string;
  empty: string;
  start?: boolean;
  children: (item: Item) => Row;
}) {
  if (props.items.length === 0) {
    return (
      <Empty title={props.empty}>
        {props.start ? <a href="/new">Describe a model</a> : <p>Run a simulation or a plan from its page.</p>}
      </Empty>
    );
  }
  return (
    <ul class="rows">
      {props.items.map((item) => {
        const { name, size, value, words } = props.children(item);
        return (
          <li>
            <span>
              <a href={`${props.path}/${item.id}`}>{name}</a>
              {size !== undefined && <small class="size"> {count(size)}</small>}
            </span>
            <span class="row-value">{value}</span>
            <small>{words}</small>
            <small>
              <Status status={item.status} /> <time dateTime={item.created_at}>{ago(item.created_at)}</time>
            </small>
          </li>
        );
      })}
    </ul>
  );
}
