import type { Device, Technique } from "../../api/types";
import { Choice, Field, Select, TextInput } from "../../parts/field";
import { Section } from "../../parts/section";
import { bytes, parseBytes } from "../../units";
import type { PartProps } from "./model";

type Kind = "none" | "full" | "own";
const FULL = '{"checkpointing": "full"}';

export function StrategyPart({ draft, change }: PartProps) {
  const kind: Kind = draft.strategy.trim() === "" ? "none" : draft.strategy.trim() === FULL ? "full" : "own";
  const choose = (next: Kind) =>
    change({ strategy: next === "none" ? "" : next === "full" ? FULL : '{\n  "micro_batches": 2\n}' });
  return (
    <Section title="Strategy" note="of a prediction; a plan finds its own">
      <Choice
        label="Strategy"
        value={kind}
        options={[["none", "Nothing changed"], ["full", "Full checkpointing"], ["own", "JSON"]]}
        onValue={choose}
      />
      {kind === "own" && (
        <Field label="Strategy" pointer="/strategy" hint="as a plan answers it; /v1/techniques lists all fields">
          <textarea
            spellcheck={false}
            value={draft.strategy}
            onInput={(event) => change({ strategy: event.currentTarget.value })}
          />
        </Field>
      )}
    </Section>
  );
}

export function BudgetPart(
  props: PartProps & { devices: Device[]; techniques: Technique[]; unplanned: number | null },
) {
  const { draft, change, devices, techniques, unplanned } = props;
  const device = devices.find(({ name }) => name === draft.device);
  return (
    <Section title="Budget" note="of a plan">
      <BudgetSlider draft={draft} change={change} capacity={device?.memory_bytes ?? null} unplanned={unplanned} />
      <details>
        <summary>What the plan may do</summary>
        <Techniques draft={draft} change={change} techniques={techniques} />
        <div class="form-grid">
          <Field label="Solver" pointer="/solver">
            <Select value={draft.solver} options={["milp", "chain", "greedy"]} onValue={(solver) => change({ solver })} />
          </Field>
          <Field label="Points of the frontier" pointer="/frontier_points">
            <TextInput
              inputMode="numeric"
              value={draft.frontierPoints}
              onValue={(frontierPoints) => change({ frontierPoints })}
            />
          </Field>
          <Field label="Find the largest" pointer="/solve_for">
            <Select
              value={draft.solveFor}
              options={[["", "nothing: as it is asked"], ["batch_size", "batch size"], ["sequence_length", "sequence length"], ["device", "smallest device"]]}
              onValue={(solveFor) => change({ solveFor })}
            />
          </Field>
        </div>
      </details>
    </Section>
  );
}

const LEAST = 2 ** 24; // 16 MiB
const MOST = 2 ** 38; // 256 GiB
const STEPS = 240;

interface SliderProps extends PartProps {
  /** Memory of the device, where it has a known one. */
  capacity: number | null;
  /** Peak of the step that the form started from. */
  unplanned: number | null;
}

/** A logarithmic scale, up to the memory of the device, or to what the step takes anyhow. */
function BudgetSlider({ draft, change, capacity, unplanned }: SliderProps) {
  const most = Math.max(2 * LEAST, Math.min(capacity ?? MOST, unplanned ?? MOST));
  const value = parseBytes(draft.budget) ?? most;
  const ratio = Math.log(Math.max(value, LEAST) / LEAST) / Math.log(most / LEAST);
  const slide = (step: number) => {
    const chosen = LEAST * (most / LEAST) ** (step / STEPS);
    change({ budget: step >= STEPS ? "" : rounded(chosen) });
  };
  const hints = [
    capacity ? `at most ${bytes(capacity)}, that of ${draft.device}` : "such as 8GiB; empty: what the device has",
    unplanned ? `what this starts from takes ${bytes(unplanned)}` : null,
  ];
  return (
    <>
      <Field
        label="Memory that the step may hold"
        pointer="/budget/memory"
        hint={hints.filter(Boolean).join("; ")}
      >
        <TextInput
          value={draft.budget}
          placeholder={capacity ? `all of ${draft.device}` : "what the device has"}
          onValue={(budget) => change({ budget })}
        />
      </Field>
      <input
        type="range"
        aria-label="Budget, from 16 MiB on, logarithmic"
        aria-valuetext={bytes(value)}
        min={0}
        max={STEPS}
        value={Math.round(STEPS * Math.min(1, ratio))}
        onInput={(event) => slide(Number(event.currentTarget.value))}
      />
    </>
  );
}

function rounded(value: number): string {
  return value >= 2 ** 30 ? `${(value / 2 ** 30).toFixed(2)}GiB` : `${Math.round(value / 2 ** 20)}MiB`;
}

function Techniques({ draft, change, techniques }: PartProps & { techniques: Technique[] }) {
  const offered = techniques.filter((technique) => technique.allow !== null);
  const defaults = offered.filter((technique) => technique.allowed_by_default).map(({ allow }) => allow!);
  const allowed = new Set(draft.allow ?? defaults);
  const toggle = (name: string) => {
    const next = allowed.has(name) ? [...allowed].filter((other) => other !== name) : [...allowed, name];
    const same = next.length === defaults.length && defaults.every((other) => next.includes(other));
    change({ allow: same ? null : next });
  };
  return (
    <fieldset class="checks">
      <legend>Techniques</legend>
      {offered.map((technique) => (
        <label title={`Saves ${technique.saves}. Costs ${technique.costs}.`}>
          <input
            type="checkbox"
            checked={allowed.has(technique.allow!)}
            onChange={() => toggle(technique.allow!)}
          />
          <span>
            {technique.name}
            {technique.mathematics.startsWith("changed") && <small> changes the mathematics</small>}
          </span>
        </label>
      ))}
    </fieldset>
  );
}
