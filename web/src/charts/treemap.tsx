import type { Category, PeakModule } from "../api/types";
import { STYLES, held } from "../categories";
import { bytes } from "../units";
import { Chart } from "./chart";
import type { Palette } from "./palette";
import { tileOf } from "./tile";
import { TIP, tip } from "./tip";

export interface TreeNode {
  name: string;
  path: string;
  value: number;
  parts: Partial<Record<Category, number>>;
  category?: Category;
  children: TreeNode[];
}

/** Modules by their paths as a tree; what a module holds itself is a leaf for each category. */
export function treeOf(modules: PeakModule[]): TreeNode {
  const root = node("the model", "");
  for (const module of modules) {
    const steps = module.module === "" ? [] : module.module.split(".");
    let at = grow(root, module);
    steps.forEach((step, index) => {
      const path = steps.slice(0, index + 1).join(".");
      let next = at.children.find((child) => child.path === path && !child.category);
      if (!next) at.children.push((next = node(step, path)));
      at = grow(next, module);
    });
    for (const [category, size] of held(module.bytes_by_category)) {
      const leaf = node(STYLES[category].label, at.path);
      at.children.push({ ...leaf, value: size, parts: { [category]: size }, category });
    }
  }
  return root;
}

function node(name: string, path: string): TreeNode {
  return { name, path, value: 0, parts: {}, children: [] };
}

function grow(target: TreeNode, module: PeakModule): TreeNode {
  target.value += module.bytes;
  for (const [category, size] of held(module.bytes_by_category)) {
    target.parts[category] = (target.parts[category] ?? 0) + size;
  }
  return target;
}

export function Treemap({ modules }: { modules: PeakModule[] }) {
  const tree = treeOf(modules);
  const largest = [...tree.children].sort((a, b) => b.value - a.value).slice(0, 3);
  const words = largest.map((child) => `${child.name} ${bytes(child.value)}`).join(", ");
  return (
    <Chart
      size="large"
      label={`Live memory at the peak by module. Largest: ${words}. The table below has every module.`}
      inputs={[modules]}
      option={(palette) => treemapOption(tree, palette)}
    />
  );
}

function treemapOption(tree: TreeNode, palette: Palette) {
  const label = { fontFamily: palette.font, fontSize: 11, lineHeight: 15, overflow: "truncate" as const, lineOverflow: "truncate" as const, ellipsis: "…" };
  return {
    tooltip: { ...TIP, trigger: "item", formatter: (item: unknown) => treeTip((item as { data: TreeNode }).data) },
    series: [
      {
        type: "treemap",
        name: "the model",
        data: tree.children.map((child) => drawn(child)),
        drillDownIcon: "",
        left: 0,
        right: 0,
        top: 0,
        bottom: 30,
        leafDepth: window.innerWidth < 600 ? 2 : 3,
        roam: false,
        nodeClick: "zoomToNode",
        breadcrumb: {
          bottom: 2,
          height: 22,
          itemStyle: { color: palette.ground, borderColor: palette.line, textStyle: { color: palette.text } },
          emphasis: { itemStyle: { color: palette.shade, textStyle: { color: palette.text } } },
        },
        // With an edge of its own: marks would cross the letters.
        label: {
          ...label,
          color: "#111",
          textBorderColor: "rgba(255, 255, 255, 0.9)",
          textBorderWidth: 3,
          padding: [1, 2],
          formatter: ({ data }: { data: { text: string } }) => data.text,
        },
        upperLabel: {
          ...label,
          show: true,
          height: 18,
          color: palette.text,
          formatter: (item: { data: TreeNode }) => `${item.data.name}  ${bytes(item.data.value)}`,
        },
        levels: [0, 1, 2, 3, 4, 5, 6].map((depth) => ({
          itemStyle: {
            gapWidth: depth < 2 ? 2 : 1,
            borderWidth: depth === 0 ? 0 : 1,
            borderColor: depth === 0 ? palette.ground : palette.shade,
          },
          upperLabel: { show: depth > 0 },
        })),
      },
    ],
  };
}

/** Of this many siblings, none has room for more than its number. */
const CROWD = 40;

/** Coloured by what most of it is for. */
function drawn(tree: TreeNode, parent?: TreeNode): object {
  // "3" alone says nothing; "h.3" does.
  const name = parent && /^\d+$/.test(tree.name) ? `${parent.name}.${tree.name}` : tree.name;
  const crowded = parent !== undefined && parent.children.length > CROWD;
  const main = tree.category ?? held(tree.parts)[0]?.[0];
  const style = main ? { color: tileOf(main) } : {};
  return {
    name,
    text: crowded ? tree.name : `${name}\n${bytes(tree.value)}`,
    path: tree.path,
    value: tree.value,
    parts: tree.parts,
    itemStyle: style,
    children: tree.children.length > 0 ? tree.children.map((child) => drawn(child, tree)) : undefined,
  };
}

function treeTip(data: TreeNode | undefined): HTMLElement | string {
  if (!data?.parts) return "";
  const rows = held(data.parts).map(([category, size]) => ({
    label: STYLES[category].label,
    value: bytes(size),
    swatch: `cat-${category}`,
  }));
  return tip(data.path || "the model itself", [{ label: "Live", value: bytes(data.value), strong: true }, ...rows]);
}
