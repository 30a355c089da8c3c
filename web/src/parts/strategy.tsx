/** A strategy to look at: its choices, unit by unit, and as code. */

import type { Strategy, UnitChoice } from "../api/types";
import { strategyText } from "../describe";
import { CodeBlock } from "./values";

const LETTERS: Record<UnitChoice["action"], string> = {
  keep: "K",
  recompute: "R",
  selective: "S",
  offload: "O",
};
const MEANINGS: Record<UnitChoice["action"], string> = {
  keep: "keep: saved as autograd does",
  recompute: "recompute: only the input stays",
  selective: "selective: some outputs stay too",
  offload: "offload: saved tensors wait on the host",
};

export function StrategyView({ strategy }: { strategy: Strategy }) {
  return (
    <>
      <p class="strategy-words">{strategyText(strategy)}</p>
      <Units units={strategy.units} />
      <details class="more">
        <summary>Use it in a training script</summary>
        <CodeBlock label="Python code that applies the strategy" text={codeOf(strategy)} />
      </details>
    </>
  );
}

function Units({ units }: { units: UnitChoice[] }) {
  if (units.length === 0) return <p class="note">Every unit keeps what it saves for backward.</p>;
  const used = [...new Set(units.map((unit) => unit.action))];
  return (
    <>
      <ul class="units" aria-label="Units and their choices">
        {units.map((unit) => (
          <li class={`unit unit-${unit.action}`} title={wordsOf(unit)}>
            <span aria-hidden="true">{LETTERS[unit.action]}</span>
            <span class="visually-hidden">{wordsOf(unit)}</span>
          </li>
        ))}
      </ul>
      <ul class="legend">
        {used.map((action) => (
          <li>
            <span class={`unit unit-${action}`} aria-hidden="true">
              {LETTERS[action]}
            </span>{" "}
            {MEANINGS[action]}
          </li>
        ))}
      </ul>
      <details class="more">
        <summary>Units as a table</summary>
        <div class="scroll tall" tabIndex={0} role="region" aria-label="Units">
          <table>
            <thead>
              <tr>
                <th scope="col">Unit</th>
                <th scope="col">Choice</th>
                <th scope="col">Outputs that stay</th>
                <th scope="col">Why</th>
              </tr>
            </thead>
            <tbody>
              {units.map((unit) => (
                <tr>
                  <td>
                    <code>{unit.module}</code>
                    {unit.through && <code> … {unit.through}</code>}
                  </td>
                  <td>{unit.action}</td>
                  <td class="wide">{unit.save.length > 0 ? <code>{unit.save.join(", ")}</code> : "–"}</td>
                  <td class="wide">{unit.reason ?? "–"}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      </details>
    </>
  );
}

function wordsOf(unit: UnitChoice): string {
  return `${unit.module}${unit.through ? ` to ${unit.through}` : ""}: ${unit.action}`;
}

/** What a training script does with it; choices that are not the model's are named. */
export function codeOf(strategy: Strategy): string {
  const yours: string[] = [];
  if (strategy.micro_batches > 1) yours.push(`split each batch into ${strategy.micro_batches} micro-batches`);
  if (strategy.attention) yours.push(`load the model with attn_implementation="${strategy.attention}"`);
  if (strategy.precision) yours.push(`train in ${strategy.precision}`);
  if (strategy.optimizer_states) yours.push(`use an optimizer with ${strategy.optimizer_states} states`);
  const compressed = Array.isArray(strategy["compression"]) && strategy["compression"].length > 0;
  if (compressed) yours.push("compress the model first: planner.compress.compress_model");
  const json = JSON.stringify(shortened(strategy), null, 2);
  return [
    "from planner import apply_strategy",
    "",
    `strategy = r"""${json}"""`,
    "apply_strategy(model, strategy, optimizer)",
    ...yours.map((text) => `# and in your script: ${text}`),
  ].join("\n");
}

/** Without the fields that say nothing. */
export function shortened(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(shortened);
  if (typeof value !== "object" || value === null) return value;
  const kept = Object.entries(value)
    .map(([name, part]): [string, unknown] => [name, shortened(part)])
    .filter(([name, part]) => name === "version" || !isDefault(name, part));
  return Object.fromEntries(kept);
}

function isDefault(name: string, part: unknown): boolean {
  if (part === null || part === false) return true;
  if (part === 1) return name === "micro_batches" || name === "loss_chunks";
  if (part === "none") return name === "checkpointing";
  return typeof part === "object" && Object.keys(part).length === 0;
}
