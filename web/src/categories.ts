/** What memory is for: one name, colour and pattern for each category, everywhere. */

import { CATEGORIES, type ByCategory, type Category } from "./api/types";

/** What tells a colour apart where colours cannot; the style sheet has the same for `.cat-*`. */
export interface Mark {
  kind: "dots" | "rising" | "falling" | "level" | "upright";
  /** Pixels from one to the next. */
  apart: number;
  light?: boolean;
}

interface Style {
  label: string;
  colour: string;
  mark: Mark | null;
}

/** Hues of Okabe and Ito (2008), which people of every colour vision tell apart. */
export const STYLES: Record<Category, Style> = {
  parameters: { label: "Parameters", colour: "#0072b2", mark: null },
  optimizer_state: { label: "Optimizer state", colour: "#56b4e9", mark: { kind: "rising", apart: 12 } },
  gradients: { label: "Gradients", colour: "#e69f00", mark: { kind: "dots", apart: 10 } },
  activations: { label: "Activations", colour: "#009e73", mark: { kind: "falling", apart: 13, light: true } },
  temporaries: { label: "Temporaries", colour: "#f0e442", mark: { kind: "level", apart: 8 } },
  inputs: { label: "Inputs", colour: "#cc79a7", mark: { kind: "upright", apart: 6 } },
  buffers: { label: "Buffers", colour: "#9a9a9a", mark: null },
  workspace: { label: "Workspace", colour: "#d55e00", mark: { kind: "dots", apart: 6, light: true } },
};

/** Categories that hold anything, the largest first. */
export function held(parts: Partial<ByCategory>): [Category, number][] {
  return CATEGORIES.map((name): [Category, number] => [name, parts[name] ?? 0])
    .filter(([, size]) => size > 0)
    .sort(([, a], [, b]) => b - a);
}
