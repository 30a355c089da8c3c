import { useLocation } from "preact-iso";
import { useMemo, useState } from "preact/hooks";
import { submit } from "../../api/client";
import type { FrontierPoint, Overhead, Plan, Simulation, Strategy } from "../../api/types";
import { Scatter, type Point } from "../../charts/scatter";
import { strategyText } from "../../describe";
import { Section } from "../../parts/section";
import { ProblemView, problemOf } from "../../parts/states";
import { StrategyView } from "../../parts/strategy";
import { Bytes } from "../../parts/values";
import { added, byteUnit, bytes } from "../../units";

interface Choice {
  label: string;
  peak_bytes: number;
  overhead: Overhead;
  strategy: Strategy;
}

/** Every certified strategy, each to be looked at; the plan's own is chosen first. */
export function Frontier({ plan }: { plan: Plan }) {
  const choices = useMemo(() => choicesOf(plan), [plan]);
  const [index, setIndex] = useState(0);
  const chosen = choices[index];
  const budget = liveBudget(plan);
  const points = useMemo(() => choices.map((choice, at) => pointOf(choice, at === index)), [choices, index]);
  if (!chosen) return null;
  return (
    <Section title="Frontier" note="peak against time; every point is simulated with its strategy applied">
      <div class="halves">
        <Plot
          points={points}
          budget={budget}
          onPick={(point) => setIndex(points.indexOf(point))}
        />
        <Points choices={choices} index={index} budget={budget} choose={setIndex} />
      </div>
      {budget === null && (
        <p class="note">
          On {plan.request.device} the budget counts what the caching allocator reserves and the context takes; the
          peaks here are live bytes.
        </p>
      )}
      <div class="chosen">
        <h3>
          {chosen.label}: <Bytes value={chosen.peak_bytes} />, {added(chosen.overhead.step_seconds_ratio)} time
        </h3>
        <StrategyView strategy={chosen.strategy} />
        <Simulate plan={plan} strategy={chosen.strategy} />
      </div>
    </Section>
  );
}

/** The budget, where live bytes are what has to stay within it: not behind a caching allocator. */
function liveBudget(plan: Plan): number | null {
  return plan.baseline?.reserved_bytes == null ? plan.budget_bytes : null;
}

function choicesOf(plan: Plan): Choice[] {
  const frontier = [...(plan.frontier ?? [])].sort((a, b) => a.peak_bytes - b.peak_bytes);
  const others = frontier
    .filter((point) => !isThePlan(plan, point))
    .map((point, index): Choice => ({ ...point, label: `Point ${index + 1}` }));
  const { prediction, overhead, strategy, infeasible } = plan;
  if (prediction && overhead && strategy) {
    return [{ label: "The plan", peak_bytes: prediction.peak_bytes, overhead, strategy }, ...others];
  }
  if (infeasible && others.length === 0) return [];
  return others;
}

function isThePlan(plan: Plan, point: FrontierPoint): boolean {
  return JSON.stringify(point.strategy) === JSON.stringify(plan.strategy);
}

function pointOf(choice: Choice, marked: boolean): Point {
  return {
    x: choice.peak_bytes,
    y: choice.overhead.step_seconds_ratio,
    title: `${choice.label}: ${strategyText(choice.strategy)}`,
    rows: [
      { label: "Peak", value: bytes(choice.peak_bytes), strong: true },
      { label: "Time", value: added(choice.overhead.step_seconds_ratio) },
      { label: "Computation", value: added(choice.overhead.recompute_flops_ratio) },
    ],
    marked,
  };
}

function Plot(props: { points: Point[]; budget: number | null; onPick?: (point: Point) => void }) {
  const ordered = [...props.points].sort((a, b) => a.x - b.x);
  return (
    <Scatter
      series={[{ name: "frontier", points: ordered, joined: true }]}
      x={{ name: "peak", format: bytes, unit: byteUnit(ordered.at(-1)?.x ?? 0), mark: markOf(props.budget, ordered) }}
      y={{ name: "step time over the unplanned step's", format: (value) => `× ${Number(value.toFixed(3))}` }}
      label={`Peak against step time of ${ordered.length} strategies; the table beside it has them.`}
      onPick={props.onPick}
    />
  );
}

/** The budget, where it lies among the points; far away it would press them together. */
function markOf(budget: number | null, points: Point[]) {
  if (budget === null || points.length === 0) return null;
  const most = Math.max(...points.map((point) => point.x));
  return budget <= 1.2 * most ? { value: budget, label: `budget ${bytes(budget)}` } : null;
}

function Points(props: {
  choices: Choice[];
  index: number;
  budget: number | null;
  choose: (index: number) => void;
}) {
  return (
    <div class="scroll tall" tabIndex={0} role="region" aria-label="Points of the frontier">
      <table>
        <thead>
          <tr>
            <th scope="col">Strategy</th>
            <th scope="col" class="number">
              Peak
            </th>
            <th scope="col" class="number">
              Time
            </th>
            {props.budget !== null && <th scope="col">Fits</th>}
          </tr>
        </thead>
        <tbody>
          {props.choices.map((choice, index) => (
            <tr class={index === props.index ? "selected" : undefined}>
              <td class="wide">
                <button
                  type="button"
                  class="link"
                  aria-pressed={index === props.index}
                  onClick={() => props.choose(index)}
                >
                  {index === 0 && choice.label === "The plan" ? "The plan: " : ""}
                  {strategyText(choice.strategy)}
                </button>
              </td>
              <td class="number">
                <Bytes value={choice.peak_bytes} />
              </td>
              <td class="number">{added(choice.overhead.step_seconds_ratio)}</td>
              {props.budget !== null && <td class="fits">{choice.peak_bytes <= props.budget ? "✓ yes" : "✕ no"}</td>}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** The step with this strategy as a simulation of its own, with timeline and all. */
function Simulate({ plan, strategy }: { plan: Plan; strategy: Strategy }) {
  const { route } = useLocation();
  const [error, setError] = useState<unknown>(null);
  const simulate = async () => {
    try {
      const made = await submit<Simulation>("/v1/simulations", simulationOf(plan, strategy));
      route(`/simulations/${made.id}`);
    } catch (problem) {
      setError(problem);
    }
  };
  return (
    <p class="more">
      <button type="button" class="small" onClick={() => void simulate()}>
        Look at the step with this strategy
      </button>
      {error !== null && <ProblemView problem={problemOf(error)} />}
    </p>
  );
}

/** The body of a simulation of the plan's workload; without strategy: as it was before. */
export function simulationOf(plan: Plan, strategy: Strategy | null): Record<string, unknown> {
  const { model, workload, device } = plan.request;
  return { model, workload, device, ...(strategy ? { strategy } : {}) };
}

interface Progress {
  frontier?: { peak_bytes: number; step_seconds_ratio: number; recompute_flops_ratio: number }[];
}

/** What a running plan has found until now. */
export function FrontierSoFar({ progress, budget }: { progress: unknown; budget: number | null }) {
  const found = (progress as Progress | null)?.frontier ?? [];
  const points = useMemo(
    () =>
      found.map((point): Point => ({
        x: point.peak_bytes,
        y: point.step_seconds_ratio,
        title: "found so far",
        rows: [
          { label: "Peak", value: bytes(point.peak_bytes), strong: true },
          { label: "Time", value: added(point.step_seconds_ratio) },
        ],
      })),
    [JSON.stringify(found)],
  );
  if (points.length === 0) return null;
  return (
    <Section title="Found so far">
      <Plot points={points} budget={budget} />
    </Section>
  );
}
