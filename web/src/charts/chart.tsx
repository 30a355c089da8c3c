import type { EChartsType } from "echarts/core";
import { useEffect, useRef, useState } from "preact/hooks";
import { ProblemView, problemOf } from "../parts/states";
import { useTheme } from "../theme";
import { paletteOf, type Palette } from "./palette";

type Option = Parameters<EChartsType["setOption"]>[0];

const DRAWN = "chart-drawn";

let loading: Promise<typeof import("./echarts")> | null = null;

/** ECharts, asked for once; again where it did not come. */
function echarts(): Promise<typeof import("./echarts")> {
  loading ??= import("./echarts").catch((error: unknown) => {
    loading = null;
    throw error;
  });
  return loading;
}

// Pages that draw import this: it comes while they wait for what is to be drawn.
echarts().catch(() => {});

interface Props {
  /** What is to be drawn; called again for other colours. */
  option: (palette: Palette) => Option;
  /** When these change, the option is asked for anew and merged into the picture. */
  inputs: unknown[];
  /** What a reader who cannot see it is told. */
  label: string;
  size?: "small" | "medium" | "large";
  /** Called once with the chart, to listen to it; the result ends that. */
  attach?: (chart: EChartsType) => void | (() => void);
}

/** A picture by ECharts. */
export function Chart({ option, inputs, label, size = "medium", attach }: Props) {
  const place = useRef<HTMLDivElement>(null);
  const [chart, setChart] = useState<EChartsType | null>(null);
  const [error, setError] = useState<unknown>(null);
  const theme = useTheme();

  useEffect(() => {
    let made: EChartsType | null = null;
    let gone = false;
    let resized: ResizeObserver | null = null;
    echarts().then(({ init }) => {
      if (gone || place.current === null) return;
      made = init(place.current, null, { renderer: "canvas" });
      resized = new ResizeObserver(() => made?.resize());
      resized.observe(place.current);
      setChart(made);
    }, setError);
    return () => {
      gone = true;
      resized?.disconnect();
      made?.dispose();
    };
  }, []);

  useEffect(() => {
    if (chart === null || chart.isDisposed()) return;
    const drawing = option(paletteOf(document.documentElement));
    chart.setOption({ animation: false, ...drawing });
    performance.mark(DRAWN); // read by benchmarks/dashboard.py
  }, [chart, theme, ...inputs]);

  useEffect(() => {
    if (chart !== null && attach) return attach(chart) ?? undefined;
    return undefined;
  }, [chart]);

  if (error !== null) return <ProblemView problem={problemOf(error)} />;
  return <div ref={place} class={`chart chart-${size}`} role="img" aria-label={label} />;
}
