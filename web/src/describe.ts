/** Requests and strategies in a few words. */

import type { ModelDescription, Strategy, Workload } from "./api/types";

export function modelName(model: ModelDescription): string {
  if (model.source === "preset") return `${model.name} (${model.size ?? "small"})`;
  if (model.source === "transformers") return String(model.config?.["model_type"] ?? "transformers");
  if (typeof model.name === "string") return model.name;
  const { source } = model;
  if (source === "architecture") return `architecture of ${countOf(model["blocks"], "block")}`;
  return source === "layers" ? `network of ${countOf(model["nodes"], "layer")}` : source;
}

function countOf(items: unknown, word: string): string {
  const parts = Array.isArray(items) ? (items as { repeat?: number }[]) : [];
  const all = parts.reduce((sum, { repeat }) => sum + (repeat ?? 1), 0);
  return `${all} ${word}${all === 1 ? "" : "s"}`;
}

export function workloadText(workload: Workload): string {
  const shape = `${workload.batch_size} × ${workload.sequence_length}`;
  const tokens = workload.new_tokens ? ` + ${workload.new_tokens} new tokens` : "";
  const training = workload.mode === "train" ? `, ${workload.optimizer.name}` : "";
  const steps = workload.gradient_accumulation_steps;
  const accumulated = steps > 1 ? `, ${steps} micro-batches accumulated` : "";
  return `${workload.mode}, ${shape}${tokens}, ${workload.precision}${training}${accumulated}`;
}

/** What a strategy does, each in a few words; empty where it does nothing. */
export function strategyParts(strategy: Strategy): string[] {
  const parts: string[] = [];
  if (strategy.checkpointing === "full") parts.push("full checkpointing");
  for (const action of ["recompute", "selective", "offload"] as const) {
    const units = strategy.units.filter((unit) => unit.action === action).length;
    if (units > 0) parts.push(`${action} ${units} unit${units > 1 ? "s" : ""}`);
  }
  if (strategy.micro_batches > 1) parts.push(`${strategy.micro_batches} micro-batches`);
  if (strategy.loss_chunks > 1) parts.push(`loss in ${strategy.loss_chunks} chunks`);
  if (strategy.optimizer.implementation) parts.push(`${strategy.optimizer.implementation} optimizer`);
  if (strategy.optimizer.in_backward) parts.push("optimizer step in backward");
  if (strategy.attention) parts.push(`${strategy.attention} attention`);
  if (strategy.precision) parts.push(strategy.precision);
  if (strategy.optimizer_states) parts.push(`${strategy.optimizer_states} optimizer states`);
  if (strategy["kv_cache"]) parts.push("key-value cache");
  const compression = strategy["compression"];
  if (Array.isArray(compression) && compression.length > 0) parts.push("compressed weights");
  return parts;
}

export function strategyText(strategy: Strategy): string {
  return strategyParts(strategy).join(", ") || "nothing changed";
}
