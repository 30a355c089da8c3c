/** What is being filled in, and the request that it makes. Text stays text until then. */

import type { ModelDescription, PlanRequest, Preset, SimulationRequest, Strategy } from "../../api/types";
import { parseBytes } from "../../units";

export type Source = "preset" | "config" | "description";

export interface Draft {
  source: Source;
  preset: string;
  size: string;
  task: string;
  config: string;
  attention: string;
  description: string;
  workload: Record<WorkloadField, string>;
  device: string;
  /** A strategy as JSON, or empty: nothing is changed. */
  strategy: string;
  budget: string;
  /** Null: all that leave the mathematics as it is. */
  allow: string[] | null;
  solver: string;
  frontierPoints: string;
  solveFor: string;
  /** Of the request that the form started from: what it has no field for, and passes on. */
  kept: Kept;
}

interface Kept {
  optimizer: Record<string, unknown>;
  workload: Record<string, unknown>;
  simulation: Record<string, unknown>;
  plan: Record<string, unknown>;
}

export const NUMBERS = [
  "batch_size",
  "sequence_length",
  "gradient_accumulation_steps",
  "target_length",
  "image_size",
  "new_tokens",
] as const;
export type WorkloadField = (typeof NUMBERS)[number] | "mode" | "precision" | "optimizer" | "cache";

export const EXAMPLE_CONFIG = `{
  "model_type": "gpt2",
  "n_layer": 6
}`;
const EXAMPLE_DESCRIPTION = `{
  "source": "layers",
  "inputs": {"images": {"shape": [3, 32, 32]}},
  "nodes": [
    {"name": "conv", "op": "Conv2d", "inputs": ["images"],
     "args": {"in_channels": 3, "out_channels": 32, "kernel_size": 3}},
    {"name": "act", "op": "ReLU", "inputs": ["conv"]},
    {"name": "pool", "op": "AdaptiveAvgPool2d", "inputs": ["act"], "args": {"output_size": 1}},
    {"name": "flat", "op": "flatten", "inputs": ["pool"], "args": {"start_dim": 1}},
    {"name": "head", "op": "Linear", "inputs": ["flat"],
     "args": {"in_features": 32, "out_features": 10}}
  ],
  "outputs": ["head"],
  "loss": "cross_entropy"
}`;

export function emptyDraft(): Draft {
  return {
    source: "preset",
    preset: "gpt2",
    size: "small",
    task: "text-generation",
    config: EXAMPLE_CONFIG,
    attention: "",
    description: EXAMPLE_DESCRIPTION,
    workload: {
      mode: "train",
      batch_size: "4",
      sequence_length: "128",
      precision: "fp32",
      optimizer: "adamw",
      gradient_accumulation_steps: "1",
      target_length: "",
      image_size: "",
      new_tokens: "",
      cache: "dynamic",
    },
    device: "cpu",
    strategy: "",
    budget: "",
    allow: null,
    solver: "milp",
    frontierPoints: "8",
    solveFor: "",
    kept: { optimizer: {}, workload: {}, simulation: {}, plan: {} },
  };
}

/** The draft with a preset's own workload. */
export function withPreset(draft: Draft, preset: Preset, size: string): Draft {
  const example = preset.examples[size]?.workload ?? {};
  const workload = { ...draft.workload, ...textsOf(example as Record<string, unknown>) };
  return { ...draft, source: "preset", preset: preset.name, size, workload, kept: emptyDraft().kept };
}

/** The draft that makes a stored request again. */
export function draftOf(request: SimulationRequest | PlanRequest): Draft {
  const draft = emptyDraft();
  const { model } = request;
  const strategy = (request as Partial<SimulationRequest>).strategy;
  const plan = request as Partial<PlanRequest>;
  return {
    ...draft,
    ...modelOf(draft, model),
    workload: { ...draft.workload, ...textsOf(request.workload as unknown as Record<string, unknown>) },
    device: request.device,
    strategy: strategy && !isPlain(strategy) ? JSON.stringify(strategy, null, 2) : "",
    budget: plan.budget?.memory ? String(plan.budget.memory) : "",
    allow: plan.allow ?? null,
    solver: plan.solver ?? draft.solver,
    frontierPoints: String(plan.frontier_points ?? draft.frontierPoints),
    solveFor: plan.solve_for ?? "",
    kept: {
      optimizer: request.workload.optimizer,
      workload: given(request.workload as unknown as Record<string, unknown>, "distillation"),
      simulation: given(request, "placement"),
      plan: given(request, "units"),
    },
  };
}

/** The field, where it has a value. */
function given(holder: Record<string, unknown>, name: string): Record<string, unknown> {
  const value = holder[name];
  return value === null || value === undefined ? {} : { [name]: value };
}

function modelOf(draft: Draft, model: ModelDescription): Partial<Draft> {
  const known = ["source", "task", "config", "attention"];
  const others = Object.entries(model).filter(
    ([name, value]) => !known.includes(name) && value !== null && String(value) !== "",
  );
  if (model.source === "preset") return { preset: String(model.name), size: model.size ?? "small" };
  if (model.source === "transformers" && others.length === 0) {
    return {
      source: "config",
      task: model.task ?? draft.task,
      config: JSON.stringify(model.config, null, 2),
      attention: String(model["attention"] ?? ""),
    };
  }
  return { source: "description", description: JSON.stringify(model, null, 2) };
}

function isPlain(strategy: Strategy): boolean {
  return strategy.checkpointing === "none" && strategy.units.length === 0 && Object.entries(strategy).every(
    ([name, value]) =>
      ["version", "checkpointing", "units", "optimizer"].includes(name) ||
      value === null || value === 1 || (Array.isArray(value) && value.length === 0),
  ) && !strategy.optimizer.implementation && !strategy.optimizer.in_backward;
}

function textsOf(workload: Record<string, unknown>): Partial<Draft["workload"]> {
  const texts: Record<string, string> = {};
  for (const [name, value] of Object.entries(workload)) {
    if (name === "optimizer") texts[name] = String((value as { name?: string } | null)?.name ?? "adamw");
    else if (typeof value === "number" || typeof value === "string") texts[name] = String(value);
  }
  return texts;
}

/** JSON pointer -> what is wrong there; only what can be seen here. The service checks the rest. */
export type Errors = Map<string, string>;

export function errorsOf(draft: Draft, modelTypes: Record<string, string[]> | null): Errors {
  const errors: Errors = new Map();
  const note = (pointer: string, text: string | null) => text && errors.set(pointer, text);
  if (draft.source === "config") note("/model/config", configError(draft, modelTypes));
  if (draft.source === "description") {
    const found = parseObject(draft.description);
    note("/model", found.error ?? ("source" in found.value ? null : 'needs a field "source"'));
  }
  for (const name of NUMBERS) note(`/workload/${name}`, numberError(draft.workload[name]));
  if (draft.strategy.trim()) note("/strategy", parseObject(draft.strategy).error);
  if (draft.budget.trim() && parseBytes(draft.budget) === null) {
    note("/budget/memory", "is no amount of memory; write it like 24GiB or 800MiB");
  }
  return errors;
}

function configError(draft: Draft, modelTypes: Record<string, string[]> | null): string | null {
  const { value, error } = parseObject(draft.config);
  if (error !== null) return error;
  const type = value["model_type"];
  if (typeof type !== "string") return 'needs "model_type", for example "gpt2"';
  const known = modelTypes?.[draft.task];
  if (!known || known.includes(type)) return null;
  const tasks = Object.entries(modelTypes ?? {}).filter(([, types]) => types.includes(type));
  if (tasks.length > 0) {
    return `${type} is not there for ${draft.task}; choose one of: ${tasks.map(([name]) => name).join(", ")}`;
  }
  const near = [...new Set(Object.values(modelTypes ?? {}).flat())].filter(
    (name) => name.startsWith(type.slice(0, 3)) || name.includes(type),
  );
  return `no model type ${type} is known${near.length ? `; there are ${near.slice(0, 6).join(", ")}` : ""}`;
}

function numberError(text: string): string | null {
  if (text.trim() === "") return null;
  const value = Number(text);
  return Number.isInteger(value) && value >= 1 ? null : "write a whole number of at least 1";
}

export type Parsed =
  | { value: Record<string, unknown>; error: null }
  | { value: Record<string, unknown>; error: string };

export function parseObject(text: string): Parsed {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null && !Array.isArray(value)) {
      return { value: value as Record<string, unknown>, error: null };
    }
    return { value: {}, error: "is no JSON object: it begins with { and ends with }" };
  } catch (error) {
    return { value: {}, error: `is not JSON: ${where(text, (error as Error).message)}` };
  }
}

/** Browsers tell a position; people look for a line. */
function where(text: string, message: string): string {
  const at = /position (\d+)/.exec(message)?.[1];
  if (at === undefined || /line \d+/.test(message)) return message;
  return `${message}, line ${text.slice(0, Number(at)).split("\n").length}`;
}

function modelBody(draft: Draft): unknown {
  if (draft.source === "preset") return { source: "preset", name: draft.preset, size: draft.size };
  if (draft.source === "description") return parseObject(draft.description).value;
  return {
    source: "transformers",
    task: draft.task,
    config: parseObject(draft.config).value,
    ...(draft.attention ? { attention: draft.attention } : {}),
  };
}

function workloadBody(draft: Draft): Record<string, unknown> {
  const { mode, precision, optimizer, cache } = draft.workload;
  const body: Record<string, unknown> = { mode, precision };
  for (const name of NUMBERS) {
    if (name === "new_tokens" && mode !== "generation") continue;
    if (name === "gradient_accumulation_steps" && mode !== "train") continue;
    if (draft.workload[name].trim() !== "") body[name] = Number(draft.workload[name]);
  }
  if (mode === "train") {
    // Arguments are of the optimizer that they were given for.
    const same = draft.kept.optimizer["name"] === optimizer;
    body["optimizer"] = same ? draft.kept.optimizer : { name: optimizer };
    Object.assign(body, draft.kept.workload);
  }
  if (mode === "generation") body["cache"] = cache;
  return body;
}

export function simulationBody(draft: Draft): Record<string, unknown> {
  return {
    model: modelBody(draft),
    workload: workloadBody(draft),
    device: draft.device,
    ...(draft.strategy.trim() ? { strategy: parseObject(draft.strategy).value } : {}),
    ...draft.kept.simulation,
  };
}

export function planBody(draft: Draft): Record<string, unknown> {
  const memory = parseBytes(draft.budget);
  return {
    model: modelBody(draft),
    workload: workloadBody(draft),
    device: draft.device,
    ...(memory === null ? {} : { budget: { memory } }),
    ...(draft.allow === null ? {} : { allow: draft.allow }),
    solver: draft.solver,
    frontier_points: Number(draft.frontierPoints),
    ...(draft.solveFor ? { solve_for: draft.solveFor } : {}),
    ...draft.kept.plan,
  };
}

export function curlOf(path: string, body: unknown, origin: string): string {
  const json = JSON.stringify(body, null, 2).replaceAll("'", "'\\''");
  return `curl -sS ${origin}${path} -H 'Content-Type: application/json' -d '${json}'`;
}
