/** Memory over the events of a workload, as what ECharts draws. */

import { CATEGORIES, type Timeline } from "../api/types";
import { STYLES } from "../categories";
import { byteAxis, bytes, integer } from "../units";
import { axisStyle, type Palette } from "./palette";
import { tileOf } from "./tile";
import { TIP, tip, type TipRow } from "./tip";

export interface Limit {
  label: string;
  bytes: number;
}

export interface TimelineInput {
  timeline: Timeline;
  /** Events shown, as first and end. */
  window: [number, number];
  limit: Limit | null;
  /** The highest level that the picture must have room for; default: what is in it. */
  ceiling?: number;
}

export function timelineOption(input: TimelineInput, palette: Palette) {
  const { timeline, limit } = input;
  const [from, to] = input.window;
  const used = CATEGORIES.filter((name) => timeline.bytes_by_category[name].some((value) => value > 0));
  const top = Math.max(input.ceiling ?? 0, highest(timeline));
  const inSight = limit !== null && limit.bytes < 2 * top;
  const levels = byteAxis(inSight ? Math.max(top, limit.bytes) : top);
  return {
    textStyle: { fontFamily: palette.font },
    grid: { left: 8, right: 12, top: 26, bottom: 56, containLabel: true },
    tooltip: {
      ...TIP,
      trigger: "axis",
      axisPointer: { type: "line", lineStyle: { color: palette.text, type: "solid", width: 1 } },
      formatter: (points: unknown) => timelineTip(timeline, points),
    },
    xAxis: {
      ...axisStyle(palette),
      type: "value",
      min: 0,
      max: timeline.event_count,
      name: "events: allocations and releases, in their order",
      nameLocation: "middle",
      nameGap: 24,
      splitLine: { show: false },
      axisLabel: { ...axisStyle(palette).axisLabel, formatter: integer, hideOverlap: true },
    },
    yAxis: {
      ...axisStyle(palette),
      type: "value",
      min: 0,
      max: levels.max,
      interval: levels.interval,
      axisLabel: { ...axisStyle(palette).axisLabel, formatter: levels.format },
    },
    dataZoom: [
      { id: "inside", type: "inside", filterMode: "filter", startValue: from, endValue: to },
      {
        id: "slider",
        type: "slider",
        filterMode: "filter",
        height: 18,
        bottom: 6,
        startValue: from,
        endValue: to,
        labelFormatter: "",
        borderColor: palette.line,
        fillerColor: palette.shade,
        handleStyle: { color: palette.ground, borderColor: palette.soft },
        moveHandleStyle: { color: palette.soft },
        dataBackground: { lineStyle: { color: palette.soft }, areaStyle: { color: palette.shade } },
        selectedDataBackground: { lineStyle: { color: palette.soft }, areaStyle: { color: palette.shade } },
      },
    ],
    series: [
      // First, since the slider shows the shape of the first.
      total(timeline, palette, phasesIn(timeline, input.window), inSight ? limit : null),
      ...used.map((name) => ({
        id: name,
        type: "line",
        name: STYLES[name].label,
        stack: "live",
        step: "end",
        symbol: "none",
        lineStyle: { width: 0 },
        itemStyle: { color: STYLES[name].colour },
        areaStyle: { color: tileOf(name), opacity: 1 },
        emphasis: { disabled: true },
        data: pairs(timeline, timeline.bytes_by_category[name]),
      })),
      ...reserved(timeline, palette),
    ],
  };
}

function highest(timeline: Timeline): number {
  return Math.max(...timeline.total_bytes, ...(timeline.reserved_bytes ?? []));
}

function pairs(timeline: Timeline, values: number[]): [number, number][] {
  return values.map((value, index) => [timeline.event[index]!, value]);
}

/** The outline of all, which also carries what is marked. */
function total(timeline: Timeline, palette: Palette, phases: Marked[], limit: Limit | null) {
  return {
    id: "total",
    type: "line",
    name: "All",
    z: 3,
    step: "end",
    symbol: "none",
    silent: true,
    lineStyle: { width: 1, color: palette.text },
    itemStyle: { color: palette.text },
    data: pairs(timeline, timeline.total_bytes),
    markArea: {
      silent: true,
      label: { color: palette.soft, fontSize: 11, position: "top", distance: 4, fontFamily: palette.font },
      data: phases.map(({ first, end, label, shaded }) => [
        { xAxis: first, name: label, itemStyle: { color: shaded ? palette.shade : "transparent" } },
        { xAxis: end },
      ]),
    },
    markLine: {
      silent: true,
      symbol: "none",
      animation: false,
      data: limit === null ? [] : [{ yAxis: limit.bytes }],
      lineStyle: { color: palette.alarm, width: 2, type: "dashed" },
      label: {
        position: "insideStartTop",
        formatter: () => (limit === null ? "" : `${limit.label}: ${bytes(limit.bytes)}`),
        color: palette.alarm,
        backgroundColor: palette.ground,
        padding: [2, 5],
        borderRadius: 3,
        fontSize: 11,
        fontWeight: 600,
        fontFamily: palette.font,
      },
    },
  };
}

function reserved(timeline: Timeline, palette: Palette) {
  if (timeline.reserved_bytes === null) return [];
  return [
    {
      id: "reserved",
      type: "line",
      name: "Reserved",
      step: "end",
      symbol: "none",
      silent: true,
      lineStyle: { width: 1.6, color: palette.text, type: [5, 3] },
      itemStyle: { color: palette.text },
      data: pairs(timeline, timeline.reserved_bytes),
    },
  ];
}

interface Marked {
  first: number;
  end: number;
  label: string;
  shaded: boolean;
}

const LETTER_PX = 7;

/** Phases, named only where the name has room. */
function phasesIn(timeline: Timeline, [from, to]: [number, number]): Marked[] {
  const perPixel = (to - from) / Math.min(window.innerWidth - 80, 1280);
  return timeline.phases.map((phase, index) => {
    const shown = Math.min(phase.end_event, to) - Math.max(phase.first_event, from);
    const label = shown / perPixel >= phase.name.length * LETTER_PX ? phase.name : "";
    return { first: phase.first_event, end: phase.end_event, label, shaded: index % 2 === 0 };
  });
}

function timelineTip(timeline: Timeline, points: unknown): HTMLElement | string {
  const index = (points as { dataIndex: number }[])[0]?.dataIndex;
  if (index === undefined) return "";
  const event = timeline.event[index]!;
  const phase = timeline.phases.findLast((candidate) => candidate.first_event <= event);
  const rows: TipRow[] = [
    { label: "Live", value: bytes(timeline.total_bytes[index]!), strong: true },
    ...CATEGORIES.map((name) => ({ name, size: timeline.bytes_by_category[name][index]! }))
      .filter(({ size }) => size > 0)
      .sort((a, b) => b.size - a.size)
      .map(({ name, size }) => ({ label: STYLES[name].label, value: bytes(size), swatch: `cat-${name}` })),
  ];
  const held = timeline.reserved_bytes?.[index];
  if (held !== undefined) rows.push({ label: "Reserved", value: bytes(held) });
  return tip(`${phase?.name ?? "before the first phase"} · event ${integer(event)}`, rows);
}
