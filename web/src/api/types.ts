/** What the API answers, as far as the dashboard looks at it; `/openapi.json` has every field. */

export type JobStatus =
  | "queued"
  | "running"
  | "succeeded"
  | "failed"
  | "cancelled"
  | "out_of_memory";

export interface FieldError {
  pointer?: string;
  parameter?: string;
  detail: string;
  remedy?: string | null;
}

export interface Problem {
  type: string;
  title: string;
  status?: number;
  detail?: string | null;
  remedy?: string | null;
  errors?: FieldError[] | null;
}

/** In the order in which they are stacked: what stays lies below what comes and goes. */
export const CATEGORIES = [
  "parameters",
  "optimizer_state",
  "buffers",
  "inputs",
  "gradients",
  "activations",
  "temporaries",
  "workspace",
] as const;
export type Category = (typeof CATEGORIES)[number];
export type ByCategory = Record<Category, number>;

export interface Job {
  id: string;
  status: JobStatus;
  progress: Record<string, unknown> | null;
  problem: Problem | null;
  warnings: string[];
  created_at: string;
  started_at: string | null;
  finished_at: string | null;
}

export interface Phase {
  name: string;
  peak_bytes: number;
  end_bytes: number;
  reserved_bytes: number | null;
}

export interface OutOfMemory {
  phase: string;
  tensor: string;
  requested_bytes: number;
  free_bytes: number;
  allocated_bytes: number;
  reserved_bytes: number;
  unallocated_bytes: number;
}

export interface Prediction {
  peak_bytes: number;
  peak_phase: string;
  phases: Phase[];
  at_peak: ByCategory;
  reserved_bytes: number | null;
  device_bytes: number | null;
  context_bytes: { low_bytes: number; high_bytes: number; measured: boolean; source: string } | null;
  fits: boolean | null;
  out_of_memory: OutOfMemory | null;
  parameter_count: number;
  trainable_parameter_count: number;
  step_flops: number;
  step_seconds: number | null;
  step_seconds_basis: string | null;
  step_seconds_runs: number;
  op_count: number;
  load_peak_bytes: number | null;
  limitations: string[];
}

export interface ModelDescription {
  source: string;
  task?: string;
  name?: string;
  size?: string;
  config?: Record<string, unknown>;
  [field: string]: unknown;
}

export interface Workload {
  mode: string;
  batch_size: number;
  sequence_length: number;
  precision: string;
  optimizer: { name: string; [argument: string]: unknown };
  gradient_accumulation_steps: number;
  new_tokens: number | null;
  image_size: number | null;
  target_length: number | null;
  cache: string;
}

export interface UnitChoice {
  module: string;
  through: string | null;
  action: "keep" | "recompute" | "selective" | "offload";
  save: string[];
  reason: string | null;
}

export interface Strategy {
  version: number;
  checkpointing: string;
  units: UnitChoice[];
  micro_batches: number;
  loss_chunks: number;
  optimizer: { implementation: string | null; in_backward: boolean };
  attention: string | null;
  precision: string | null;
  optimizer_states: string | null;
  [field: string]: unknown;
}

export interface SimulationRequest {
  model: ModelDescription;
  workload: Workload;
  device: string;
  strategy: Strategy;
  [field: string]: unknown;
}

export interface Simulation extends Job {
  request: SimulationRequest;
  prediction: Prediction | null;
  versions: Record<string, string>;
}

export interface PlanRequest {
  model: ModelDescription;
  workload: Workload;
  device: string;
  budget: { memory: number | null };
  allow: string[] | null;
  solver: string;
  frontier_points: number;
  solve_for: string | null;
  [field: string]: unknown;
}

export interface Overhead {
  recompute_flops_ratio: number;
  step_seconds_ratio: number;
}

export interface FrontierPoint {
  peak_bytes: number;
  overhead: Overhead;
  strategy: Strategy;
}

export interface Plan extends Job {
  request: PlanRequest;
  versions: Record<string, string>;
  feasible: boolean | null;
  budget_bytes: number | null;
  strategy: Strategy | null;
  prediction: Prediction | null;
  baseline: Prediction | null;
  overhead: Overhead | null;
  frontier: FrontierPoint[] | null;
  infeasible: {
    smallest_budget_bytes: number;
    smallest_strategy: Strategy;
    phase: string;
    held_by: string[];
    remedies: string[];
  } | null;
  solved: { field: string; value: number | string; too_large: number | string | null } | null;
  solver: {
    name: string;
    solve_seconds: number;
    simulate_seconds: number;
    simulations: number;
    optimality_gap: number | null;
    estimate_error: number;
  } | null;
  limitations: string[] | null;
}

export type Objective = "peak_bytes" | "step_seconds" | "cost" | "score";

export interface VariedAxis {
  pointer: string;
  also: string[];
  values: unknown[];
}

export interface DesignSearchRequest {
  model: ModelDescription;
  workload: Workload;
  device: string;
  vary: VariedAxis[];
  objective: Objective;
  constraints: {
    fits: boolean;
    peak_bytes: number | null;
    step_seconds: number | null;
    parameter_count: number | null;
    score: number | null;
  };
  prices: Record<string, number>;
  evaluations: number;
  seed: number;
  [field: string]: unknown;
}

export interface DesignMetrics {
  peak_bytes: number;
  step_seconds: number | null;
  parameter_count: number;
  memory_use: number | null;
  cost: number | null;
  score: number;
}

/** Values by the pointers of their axes. */
export type Choices = Record<string, unknown>;

export interface Expected {
  value: number;
  pessimistic: number;
  extrapolated: boolean;
}

export interface Design {
  choices: Choices;
  source: "stored" | "initial" | "proposed";
  metrics: DesignMetrics | null;
  feasible: boolean;
  violations: string[];
  expected: Expected | null;
  simulation_id: string | null;
}

/** While it runs, `progress` has these. */
export interface DesignSearchProgress {
  phase?: "recall" | "initial" | "proposed";
  evaluations?: number;
  most_evaluations?: number;
  best_value?: number | null;
  best?: Choices | null;
}

export interface DesignSearch extends Job {
  request: DesignSearchRequest;
  versions: Record<string, string>;
  feasible: boolean | null;
  best_value: number | null;
  space_size: number | null;
  stored: number | null;
  evaluations: number | null;
  refused: number | null;
  best: Design | null;
  designs: Design[] | null;
  untried: { choices: Choices; expected: Expected }[] | null;
  random_search: {
    evaluations: number;
    expected_value: number | null;
    nothing_feasible: number;
    basis: "simulated" | "surrogate";
    regret: number | null;
  } | null;
  limitations: string[] | null;
}

export interface Timeline {
  event: number[];
  total_bytes: number[];
  bytes_by_category: ByCategorySeries;
  reserved_bytes: number[] | null;
  phases: { name: string; first_event: number; end_event: number }[];
  event_count: number;
}
export type ByCategorySeries = Record<Category, number[]>;

export interface RunTimeline {
  predicted: Timeline;
  measured: {
    seconds: number[];
    live_bytes: number[];
    reserved_bytes: number[] | null;
    phases: { name: string; start_seconds: number; end_seconds: number }[];
  };
}

export interface PeakModule {
  module: string;
  bytes: number;
  count: number;
  bytes_by_category: Partial<ByCategory>;
}

export interface PeakTensor {
  name: string | null;
  op: string | null;
  module: string;
  phase: string | null;
  category: Category;
  bytes: number;
  dtype: string | null;
  shape: number[] | null;
  first_event: number;
  end_event: number | null;
}

export interface Peak {
  event: number;
  event_count: number;
  phase: string;
  op: { name: string; module: string } | null;
  total_bytes: number;
  storage_count: number;
  modules: PeakModule[];
  tensors: PeakTensor[];
}

export interface GraphNode {
  id: string;
  name: string;
  phase: string;
  ops: number;
  internal_bytes: number;
  flops?: number;
  bytes_read?: number;
  bytes_written?: number;
  bytes?: number;
}

export interface Graph {
  nodes: GraphNode[];
  edges: { source: string; target: string; bytes: number; tensors: number }[];
}

export interface Measured {
  peak_bytes: number;
  peak_phase: string;
  reserved_bytes: number | null;
  device_bytes: number | null;
  step_seconds: number | null;
  notes?: string[];
}

export interface Run extends Job {
  simulation_id: string | null;
  plan_id: string | null;
  model_type: string | null;
  task: string | null;
  mode: string | null;
  device: string;
  labels: Record<string, string>;
  predicted: {
    peak_bytes: number;
    peak_phase: string;
    reserved_bytes: number | null;
    device_bytes: number | null;
    step_seconds: number | null;
  };
  measured: Measured | null;
  relative_error: number | null;
  phases:
    | {
        name: string;
        predicted_peak_bytes: number | null;
        measured_peak_bytes: number | null;
        relative_error: number | null;
      }[]
    | null;
  worker: { id: string; hostname: string; labels: Record<string, string>; device: WorkerDevice } | null;
  environment: Record<string, unknown> | null;
  baseline: { measured: Measured | null; reason: string | null } | null;
  gradients_match: {
    match: boolean;
    bitwise: boolean;
    loss_difference: number;
    largest_relative_difference: number;
    tolerance: number;
    parameters: number;
    dropout: boolean;
  } | null;
  slowdown: number | null;
}

export interface WorkerDevice {
  kind?: string;
  name?: string;
  memory_bytes?: number;
}

export interface Worker {
  id: string;
  state: string;
  labels: Record<string, string>;
  simulates: boolean;
  device: WorkerDevice;
  versions: Record<string, string>;
  differs_in: string[];
  hostname: string;
  jobs: string[];
  started_at: string;
  last_seen_at: string;
}

export interface Device {
  name: string;
  kind: string;
  architecture: string | null;
  memory_bytes: number | null;
  origin: string;
}

export interface Technique {
  name: string;
  field: string;
  saves: string;
  costs: string;
  mathematics: string;
  allow: string | null;
  allowed_by_default: boolean;
}

export interface Preset {
  name: string;
  task: string;
  source: string;
  model_type: string | null;
  summary: string;
  paper: string | null;
  sizes: Record<string, string>;
  examples: Record<string, { model: ModelDescription; workload: Partial<Workload> }>;
}

export interface ModelCatalogue {
  presets: Preset[];
  tasks: { name: string; summary: string }[];
  model_types: Record<string, string[]>;
}

export interface Page<Item> {
  items: Item[];
  next_cursor: string | null;
}
