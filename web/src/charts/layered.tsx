/** The computation graph in layers, from what is read first to what is written last. */

import { Graph as DagreGraph, layout } from "@dagrejs/dagre";
import { useEffect, useMemo, useRef } from "preact/hooks";
import { bytes, flops, integer } from "../units";
import type { ModuleEdge, ModuleGraph, ModuleNode } from "./module_graph";

const WIDTH = 190;
const HEIGHT = 52;

const MARGIN = 8;
const WORDS = 56;

interface Placed {
  left: number;
  width: number;
  height: number;
  /** Of the first box, from the left. */
  middle: number;
  nodes: { node: ModuleNode; x: number; y: number }[];
  edges: { edge: ModuleEdge; path: string; x: number; y: number }[];
}

/** Dagre takes an empty name for none. */
const key = (module: string) => `:${module}`;

function place(graph: ModuleGraph): Placed {
  const dagre = new DagreGraph();
  dagre.setGraph({ rankdir: "TB", nodesep: 24, ranksep: 30, marginx: 8, marginy: 8 });
  dagre.setDefaultEdgeLabel(() => ({}));
  for (const node of graph.nodes) dagre.setNode(key(node.module), { width: WIDTH, height: HEIGHT });
  for (const edge of graph.edges) dagre.setEdge(key(edge.source), key(edge.target), {});
  layout(dagre);
  const size = dagre.graph();
  const nodes = graph.nodes.map((node) => {
    const { x, y } = dagre.node(key(node.module));
    return { node, x: (x ?? 0) - WIDTH / 2, y: (y ?? 0) - HEIGHT / 2 };
  });
  const lines = graph.edges.map((edge) => ({ edge, points: dagre.edge(key(edge.source), key(edge.target)).points ?? [] }));
  // Lines may bend beyond the boxes, and have words to their right.
  const across = lines.flatMap(({ points }) => points.flatMap(({ x }: { x: number }) => [x - MARGIN, x + MARGIN + WORDS]));
  const left = Math.min(0, ...across);
  return {
    left,
    width: Math.max(size.width ?? 0, ...across) - left,
    height: size.height ?? 0,
    middle: (nodes.find(({ y }) => y < HEIGHT)?.x ?? 0) + WIDTH / 2 - left,
    nodes,
    edges: lines.map(({ edge, points }) => {
      const middle = points[Math.floor(points.length / 2)] ?? { x: 0, y: 0 };
      return { edge, path: curve(points), x: middle.x, y: middle.y };
    }),
  };
}

/** Through the middles of the given line, with its corners as what they bend towards. */
function curve(points: { x: number; y: number }[]): string {
  const [first, ...rest] = points;
  if (!first || rest.length === 0) return "";
  let path = `M${first.x},${first.y}`;
  rest.slice(0, -1).forEach((point, index) => {
    const next = rest[index + 1]!;
    path += ` Q${point.x},${point.y} ${(point.x + next.x) / 2},${(point.y + next.y) / 2}`;
  });
  const last = rest.at(-1)!;
  return `${path} L${last.x},${last.y}`;
}

export function Layered({ graph, toggle }: { graph: ModuleGraph; toggle: (module: string) => void }) {
  const placed = useMemo(() => place(graph), [graph]);
  const frame = useRef<HTMLDivElement>(null);
  // A narrow window begins at the first box, not at the left end.
  useEffect(() => {
    if (frame.current) frame.current.scrollLeft = placed.middle - frame.current.clientWidth / 2;
  }, []);
  const most = Math.max(1, ...graph.edges.map((edge) => edge.bytes));
  return (
    <div ref={frame} class="scroll graph" tabIndex={0} role="region" aria-label="Computation graph">
      <svg width={placed.width} height={placed.height} viewBox={`${placed.left} 0 ${placed.width} ${placed.height}`}>
        <defs>
          <marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" markerUnits="userSpaceOnUse" orient="auto">
            <path d="M0,0 L8,4 L0,8 z" class="edge-head" />
          </marker>
        </defs>
        {placed.edges.map(({ edge, path, x, y }) => (
          <g>
            <path d={path} class="edge" stroke-width={1 + 4 * Math.sqrt(edge.bytes / most)} marker-end="url(#arrow)">
              <title>{edgeWords(edge)}</title>
            </path>
            {graph.nodes.length <= 24 && (
              <text class="edge-text" x={x + 5} y={y + 3}>
                {bytes(edge.bytes)}
              </text>
            )}
          </g>
        ))}
        {placed.nodes.map(({ node, x, y }) => (
          <Box node={node} x={x} y={y} toggle={toggle} />
        ))}
      </svg>
    </div>
  );
}

function Box(props: { node: ModuleNode; x: number; y: number; toggle: (module: string) => void }) {
  const { node, x, y, toggle } = props;
  const act = () => toggle(node.module);
  const press = (event: KeyboardEvent) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    act();
  };
  // In lower case: names of attributes of SVG are told apart by case.
  const button = node.opens
    ? { role: "button" as const, tabindex: 0, "aria-expanded": node.opened, onClick: act, onKeyDown: press }
    : { role: "img" as const };
  return (
    <g
      transform={`translate(${x},${y})`}
      class={`box${node.opens ? " box-opens" : ""}${node.opened ? " box-opened" : ""}`}
      aria-label={boxWords(node)}
      {...button}
    >
      <rect width={WIDTH} height={HEIGHT} rx="6" />
      {linesOf(node).map((line, index) => (
        <text x="10" y={20 + index * 13} class={index === 0 ? "box-name" : undefined}>
          {`${line} `}
        </text>
      ))}
      <title>{boxWords(node)}</title>
    </g>
  );
}

/** What is written in a box. */
function linesOf(node: ModuleNode): string[] {
  const sign = node.opens ? (node.opened ? "− " : "+ ") : "";
  return [
    sign + shortName(node.module),
    `${integer(node.ops)} ops · ${flops(node.flops)}`,
    `writes ${bytes(node.bytesWritten)}`,
  ];
}

function shortName(module: string): string {
  if (module === "") return "the step itself";
  return module.length <= 26 ? module : `…${module.slice(-25)}`;
}

/** All that is known of it. Begins with what is written, so that it can be called by that. */
function boxWords(node: ModuleNode): string {
  const parts = [linesOf(node).join(" ")];
  if (node.opened) parts.push("its own ops only");
  if (node.bytesHeld > 0) parts.push(`reads ${bytes(node.bytesHeld)} from before the step`);
  if (node.bytesSaved > 0) parts.push(`reads ${bytes(node.bytesSaved)} of other phases`);
  if (node.module.length > 26) parts.push(node.module);
  if (node.opens) parts.push(node.opened ? "select to close it" : "select to open it");
  return parts.join("; ");
}

function edgeWords(edge: ModuleEdge): string {
  return `${edge.source || "the step itself"} → ${edge.target || "the step itself"}: ${bytes(edge.bytes)} in ${edge.tensors} tensors`;
}
