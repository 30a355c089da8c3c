/** What memory is for: one name, colour and pattern for each category, everywhere. */

import { CATEGORIES, type ByCategory, type Category } from "./api/types";

interface Style {
  label: string;
  colour: string;
  /** Marks that tell it apart where colours cannot, as ECharts' decals. */
  decal: object;
}

const MARK = "rgba(0, 0, 0, 0.26)";
const LIGHT_MARK = "rgba(255, 255, 255, 0.34)";
const lines = (rotation: number, gap: number, color = MARK) => ({
  symbol: "rect",
  dashArrayX: [1, 0],
  dashArrayY: [1.2, gap],
  rotation,
  color,
});
const dots = (size: number, gap: number, color = MARK) => ({
  symbol: "circle",
  symbolSize: size,
  dashArrayX: [[gap, gap], [0, gap, gap, 0]],
  dashArrayY: [gap, 0],
  color,
});
const PLAIN = { symbol: "none" };

/** Hues of Okabe and Ito (2008), which people of every colour vision tell apart. */
export const STYLES: Record<Category, Style> = {
  parameters: { label: "Parameters", colour: "#0072b2", decal: PLAIN },
  optimizer_state: { label: "Optimizer state", colour: "#56b4e9", decal: lines(Math.PI / 4, 8) },
  gradients: { label: "Gradients", colour: "#e69f00", decal: dots(0.5, 8) },
  activations: { label: "Activations", colour: "#009e73", decal: lines(-Math.PI / 4, 9, LIGHT_MARK) },
  temporaries: { label: "Temporaries", colour: "#f0e442", decal: lines(0, 7) },
  inputs: { label: "Inputs", colour: "#cc79a7", decal: lines(Math.PI / 2, 5) },
  buffers: { label: "Buffers", colour: "#9a9a9a", decal: PLAIN },
  workspace: { label: "Workspace", colour: "#d55e00", decal: dots(0.8, 4, LIGHT_MARK) },
};

/** Categories that hold anything, the largest first. */
export function held(parts: Partial<ByCategory>): [Category, number][] {
  return CATEGORIES.map((name): [Category, number] => [name, parts[name] ?? 0])
    .filter(([, size]) => size > 0)
    .sort(([, a], [, b]) => b - a);
}
