/** Predicted and measured memory over the same phases. One is counted in events and the other in
 * seconds, so each phase has the same width, and in it each point follows the one before at the same
 * distance: both series are thinned evenly over their allocations. */

import type { RunTimeline } from "../api/types";
import { byteAxis, bytes } from "../units";
import { Chart } from "./chart";
import { axisStyle, type Palette } from "./palette";
import { TIP, tip } from "./tip";

type Pairs = [number, number][];

export function Overlay({ timeline }: { timeline: RunTimeline }) {
  const names = timeline.predicted.phases.map((phase) => phase.name);
  const predicted = overPhases(
    timeline.predicted.event,
    timeline.predicted.total_bytes,
    timeline.predicted.phases.map((phase) => [phase.first_event, phase.end_event]),
  );
  const measured = overPhases(
    timeline.measured.seconds,
    timeline.measured.live_bytes,
    timeline.measured.phases.map((phase) => [phase.start_seconds, phase.end_seconds]),
  );
  return (
    <>
      <ul class="legend" aria-label="Legend">
        <li>
          <span class="swatch cat-parameters" aria-hidden="true" /> Predicted
        </li>
        <li>
          <span class="swatch-line measured" aria-hidden="true" /> Measured
        </li>
      </ul>
      <Chart
        size="large"
        label="Predicted and measured live memory over the phases. The table has the peaks of each."
        inputs={[timeline]}
        option={(palette) => overlayOption(predicted, measured, names, palette)}
      />
    </>
  );
}

/** Position among phases (phase 2, half way: 2.5) and value of each point inside one. */
export function overPhases(at: number[], values: number[], phases: [number, number][]): Pairs {
  const members: number[][] = phases.map(() => []);
  at.forEach((position, index) => {
    const phase = phases.findLastIndex(([start, end]) => start <= position && position <= end);
    members[phase]?.push(values[index]!);
  });
  return members.flatMap((levels, phase) =>
    levels.map((level, rank): [number, number] => [phase + (rank + 0.5) / levels.length, level]),
  );
}

function overlayOption(predicted: Pairs, measured: Pairs, names: string[], palette: Palette) {
  const highest = Math.max(...predicted.map(([, value]) => value), ...measured.map(([, value]) => value));
  const levels = byteAxis(highest);
  const style = axisStyle(palette);
  return {
    textStyle: { fontFamily: palette.font },
    grid: { left: 8, right: 16, top: 12, bottom: 8, containLabel: true },
    tooltip: {
      ...TIP,
      trigger: "axis",
      formatter: (items: unknown) => {
        const points = items as { seriesName: string; value: [number, number] }[];
        const phase = names[Math.min(names.length - 1, Math.floor(points[0]?.value[0] ?? 0))] ?? "";
        return tip(phase, points.map((point) => ({ label: point.seriesName, value: bytes(point.value[1]) })));
      },
    },
    xAxis: {
      ...style,
      type: "value",
      min: 0,
      max: names.length,
      interval: 1,
      splitLine: { show: true, lineStyle: { color: palette.line } },
      axisLabel: {
        ...style.axisLabel,
        show: window.innerWidth >= 600,
        align: "left",
        hideOverlap: true,
        formatter: (value: number) => names[value] ?? "",
      },
    },
    yAxis: {
      ...style,
      type: "value",
      min: 0,
      max: levels.max,
      interval: levels.interval,
      axisLabel: { ...style.axisLabel, formatter: levels.format },
    },
    series: [
      {
        id: "predicted",
        name: "Predicted",
        type: "line",
        step: "end",
        symbol: "none",
        lineStyle: { width: 0 },
        itemStyle: { color: "#0072b2" },
        areaStyle: { opacity: 0.75 },
        data: predicted,
      },
      {
        id: "measured",
        name: "Measured",
        type: "line",
        step: "end",
        symbol: "none",
        lineStyle: { width: 2, type: [4, 3], color: "#e69f00" },
        itemStyle: { color: "#e69f00" },
        data: measured,
      },
    ],
  };
}
