import { lazy } from "preact-iso";
import { useMemo, useState } from "preact/hooks";
import { useResource } from "../../api/hooks";
import type { Graph } from "../../api/types";
import { moduleGraph, openAtFirst, phasesOf } from "../../charts/module_graph";
import { Select } from "../../parts/field";
import { Section } from "../../parts/section";
import { Await, Empty } from "../../parts/states";
import "../../styles/graph.css";

const Layered = lazy(() => import("../../charts/layered").then((module) => module.Layered));

const AT_FIRST = 24;
const MOST = 400;

/** The last step's computation graph, module by module. */
export function GraphSection({ path }: { path: string }) {
  const [wanted, setWanted] = useState(false);
  const graph = useResource<Graph>(wanted ? `${path}/graph?depth=100` : null);
  return (
    <Section title="Computation graph" note="of the last step, by module">
      {wanted ? (
        <Await loaded={graph} what="Building the graph">
          {(data) => <ByModule graph={data} />}
        </Await>
      ) : (
        <button type="button" onClick={() => setWanted(true)}>
          Show the graph
        </button>
      )}
    </Section>
  );
}

function ByModule({ graph }: { graph: Graph }) {
  const phases = phasesOf(graph);
  const [phase, setPhase] = useState(phases.find((name) => name.endsWith("forward")) ?? phases[0] ?? "");
  const [opened, setOpened] = useState(() => openAtFirst(graph, phase, AT_FIRST));
  const shown = useMemo(() => moduleGraph(graph, phase, opened), [graph, phase, opened]);
  const toggle = (module: string) =>
    setOpened((before) => {
      const next = new Set(before);
      if (!next.delete(module)) next.add(module);
      return next;
    });
  return (
    <>
      <div class="graph-tools">
        <label>
          Phase <Select value={phase} options={phases} onValue={setPhase} />
        </label>
        <button type="button" class="small" onClick={() => setOpened(new Set([""]))}>
          Close all
        </button>
        <button type="button" class="small" onClick={() => setOpened(openAtFirst(graph, phase, MOST))}>
          Open all
        </button>
        <span class="note">Boxes with + have modules inside. Lines are as thick as the bytes that pass.</span>
      </div>
      {shown.nodes.length > MOST ? (
        <Empty title={`${shown.nodes.length} boxes are too many to draw`}>Close some modules.</Empty>
      ) : (
        <Layered graph={shown} toggle={toggle} />
      )}
    </>
  );
}
