/** The computation graph, as far as modules are opened. No drawing here. */

import type { Graph, GraphNode } from "../api/types";

export interface ModuleNode {
  /** Path of the module; its own ops only, where it is opened. */
  module: string;
  opened: boolean;
  /** Whether there are modules inside it. */
  opens: boolean;
  ops: number;
  flops: number;
  bytesWritten: number;
  /** Read from before the step: parameters and the like. */
  bytesHeld: number;
  /** Read from other phases: what was saved for this one. */
  bytesSaved: number;
}

export interface ModuleEdge {
  source: string;
  target: string;
  bytes: number;
  tensors: number;
}

export interface ModuleGraph {
  nodes: ModuleNode[];
  edges: ModuleEdge[];
}

/** Phases that compute, in their order. */
export function phasesOf(graph: Graph): string[] {
  return [...new Set(graph.nodes.map((node) => node.phase))].filter((phase) => phase !== "data");
}

/** The graph of one phase, with one node for each module that is not inside a closed one. */
export function moduleGraph(graph: Graph, phase: string, opened: ReadonlySet<string>): ModuleGraph {
  const byId = new Map(graph.nodes.map((node) => [node.id, node]));
  const parents = parentsOf(graph.nodes, phase);
  const nodes = new Map<string, ModuleNode>();
  const at = (node: GraphNode) => visible(node.name, opened);
  for (const node of graph.nodes) {
    if (node.phase === phase) add(nodes, at(node), node, opened, parents);
  }
  const edges = new Map<string, ModuleEdge>();
  for (const { source, target, bytes, tensors } of graph.edges) {
    const [from, to] = [byId.get(source)!, byId.get(target)!];
    if (to.phase !== phase) continue;
    const here = nodes.get(at(to))!;
    if (from.phase === "data") here.bytesHeld += bytes;
    else if (from.phase !== phase) here.bytesSaved += bytes;
    else connect(edges, at(from), at(to), bytes, tensors);
  }
  return { nodes: [...nodes.values()], edges: [...edges.values()] };
}

/** The module itself, or the outermost closed module around it. */
export function visible(module: string, opened: ReadonlySet<string>): string {
  if (!opened.has("")) return "";
  const steps = module === "" ? [] : module.split(".");
  for (let length = 1; length < steps.length; length += 1) {
    const prefix = steps.slice(0, length).join(".");
    if (!opened.has(prefix)) return prefix;
  }
  return module;
}

/** Every module that has modules inside. */
function parentsOf(nodes: GraphNode[], phase: string): Set<string> {
  const parents = new Set<string>();
  for (const node of nodes) {
    if (node.phase !== phase || node.name === "") continue;
    const steps = node.name.split(".");
    for (let length = 0; length < steps.length; length += 1) parents.add(steps.slice(0, length).join("."));
  }
  return parents;
}

function add(
  nodes: Map<string, ModuleNode>,
  module: string,
  node: GraphNode,
  opened: ReadonlySet<string>,
  parents: ReadonlySet<string>,
): void {
  const none = { ops: 0, flops: 0, bytesWritten: 0, bytesHeld: 0, bytesSaved: 0 };
  const known = nodes.get(module);
  const entry = known ?? { module, opened: opened.has(module), opens: parents.has(module), ...none };
  entry.ops += node.ops;
  entry.flops += node.flops ?? 0;
  entry.bytesWritten += node.bytes_written ?? 0;
  if (!known) nodes.set(module, entry);
}

function connect(edges: Map<string, ModuleEdge>, source: string, target: string, bytes: number, tensors: number): void {
  if (source === target) return;
  const key = JSON.stringify([source, target]);
  const edge = edges.get(key) ?? { source, target, bytes: 0, tensors: 0 };
  edge.bytes += bytes;
  edge.tensors += tensors;
  edges.set(key, edge);
}

/** Modules to open at first: outer ones, as long as there are not too many boxes. */
export function openAtFirst(graph: Graph, phase: string, most: number): Set<string> {
  let opened = new Set([""]);
  for (;;) {
    const { nodes } = moduleGraph(graph, phase, opened);
    const next = new Set([...opened, ...nodes.filter((node) => node.opens).map((node) => node.module)]);
    if (next.size === opened.size || moduleGraph(graph, phase, next).nodes.length > most) return opened;
    opened = next;
  }
}
