/** Points over two quantities, each of which may lead somewhere. */

import type { EChartsType } from "echarts/core";
import { useRef } from "preact/hooks";
import { Chart } from "./chart";
import { axisStyle, type Palette } from "./palette";
import { TIP, tip, type TipRow } from "./tip";

export interface Point {
  x: number;
  y: number;
  title: string;
  rows: TipRow[];
  marked?: boolean;
}

export interface PointSeries {
  name: string;
  points: Point[];
  joined?: boolean;
}

export interface Axis {
  name: string;
  format: (value: number) => string;
  /** What its ticks are round multiples of, such as a MiB; default 1. */
  unit?: number;
  log?: boolean;
  /** A line at this value, such as a budget. */
  mark?: { value: number; label: string } | null;
  /** The axis reaches at least from minus this to this, so that small differences look small. */
  atLeast?: number;
}

const SYMBOLS = ["circle", "rect", "triangle", "diamond", "pin", "arrow"];
const COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"];

interface Props {
  series: PointSeries[];
  x: Axis;
  y: Axis;
  label: string;
  onPick?: (point: Point) => void;
}

export function Scatter(props: Props) {
  const pick = useRef(props.onPick);
  pick.current = props.onPick;
  const attach = (chart: EChartsType) => {
    chart.on("click", (event) => {
      const point = (event.data as { point?: Point } | undefined)?.point;
      if (point) pick.current?.(point);
    });
  };
  return (
    <Chart
      size="medium"
      label={props.label}
      inputs={[props.series, props.x.mark?.value]}
      option={(palette) => scatterOption(props, palette)}
      attach={attach}
    />
  );
}

function scatterOption({ series, x, y }: Props, palette: Palette) {
  return {
    textStyle: { fontFamily: palette.font },
    grid: { left: 8, right: 20, top: 30, bottom: 26, containLabel: true },
    tooltip: {
      ...TIP,
      trigger: "item",
      formatter: (item: unknown) => {
        const { point } = (item as { data: { point?: Point } }).data;
        return point ? tip(point.title, point.rows) : "";
      },
    },
    xAxis: { ...axis(x, palette), nameLocation: "middle", nameGap: 26 },
    yAxis: axis(y, palette),
    series: series.map((one, index) => ({
      id: one.name,
      name: one.name,
      type: one.joined ? "line" : "scatter",
      step: one.joined ? "end" : undefined,
      symbol: SYMBOLS[index % SYMBOLS.length],
      symbolSize: (_: unknown, item: { data: { point: Point } }) => (item.data.point.marked ? 17 : 10),
      showSymbol: true,
      lineStyle: { color: palette.line, width: 1.5 },
      itemStyle: { color: COLOURS[index % COLOURS.length], borderColor: palette.ground, borderWidth: 1 },
      data: one.points.map((point) => ({
        value: [point.x / (x.unit ?? 1), point.y / (y.unit ?? 1)],
        point,
        itemStyle: point.marked ? { color: palette.accent, borderColor: palette.text, borderWidth: 2 } : undefined,
      })),
      markLine: index === 0 ? marks(x, palette) : undefined,
    })),
  };
}

interface Range {
  min: number;
  max: number;
}

function axis({ name, format, log, atLeast, unit = 1 }: Axis, palette: Palette) {
  const style = axisStyle(palette);
  return {
    ...style,
    type: log ? "log" : "value",
    logBase: 2,
    scale: true,
    min: atLeast && ((range: Range) => -Math.max(atLeast, Math.abs(range.min), Math.abs(range.max))),
    max: atLeast && ((range: Range) => Math.max(atLeast, Math.abs(range.min), Math.abs(range.max))),
    name,
    nameTextStyle: { ...style.nameTextStyle, align: "left" },
    axisLabel: { ...style.axisLabel, formatter: (value: number) => format(value * unit), hideOverlap: true },
  };
}

function marks({ mark, unit = 1 }: Axis, palette: Palette) {
  if (!mark) return undefined;
  return {
    silent: true,
    symbol: "none",
    animation: false,
    data: [{ xAxis: mark.value / unit }],
    lineStyle: { color: palette.alarm, width: 2, type: "dashed" },
    label: { position: "insideEndTop", formatter: () => mark.label, color: palette.alarm, fontSize: 11, fontFamily: palette.font },
  };
}

/** The same symbols for a legend in the page. */
export const MARKS = ["●", "■", "▲", "◆", "◉", "➤"];
