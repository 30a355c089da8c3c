import type { EChartsType } from "echarts/core";
import { useEffect, useState } from "preact/hooks";
import { api } from "../api/client";
import { CATEGORIES, type Timeline } from "../api/types";
import { STYLES } from "../categories";
import { Select } from "../parts/field";
import { Swatch } from "../parts/values";
import { bytes, integer } from "../units";
import { Chart } from "./chart";
import { withPart } from "./timeline_data";
import { timelineOption, type Limit } from "./timeline_option";

const REST_MS = 150;
const LOOK_CLOSER_MS = 50;
/** Points to ask for: more than one a pixel cannot be seen. */
export const POINTS = Math.min(1_000, Math.max(300, window.innerWidth));

/** Of the phases, as buttons; more are a list to choose from. */
const MOST_BUTTONS = 10;
type View = [name: string, events: [number, number]];

interface Props {
  timeline: Timeline;
  /** Where parts of it can be asked for, closer. */
  path: string;
  limit: Limit | null;
  ceiling?: number;
  label?: string;
}

/** Memory over time, to be zoomed by wheel, fingers, slider, or a phase's button. */
export function TimelineView({ timeline, path, limit, ceiling, label }: Props) {
  const whole: [number, number] = [0, timeline.event_count];
  const [window, setWindow] = useState(whole);
  const closer = useCloser(timeline, path, window);
  // While it moves, the chart moves by itself; what depends on the window follows when it rests.
  const follow = (chart: EChartsType) => {
    let resting: ReturnType<typeof setTimeout> | undefined;
    chart.on("datazoom", () => {
      clearTimeout(resting);
      resting = setTimeout(() => {
        if (chart.isDisposed()) return;
        const [zoom] = chart.getOption()["dataZoom"] as { startValue: number; endValue: number }[];
        if (zoom) setWindow([Math.round(zoom.startValue), Math.round(zoom.endValue)]);
      }, REST_MS);
    });
    return () => clearTimeout(resting);
  };
  const peak = timeline.total_bytes.indexOf(Math.max(...timeline.total_bytes));
  return (
    <>
      <Legend timeline={timeline} limit={limit} />
      <Chart
        size="large"
        label={`${label ?? "Live memory over the workload"}: peak of ${bytes(timeline.total_bytes[peak]!)} at event ${integer(timeline.event[peak]!)} of ${integer(timeline.event_count)}. The table of phases has the numbers.`}
        option={(palette) => timelineOption({ timeline: closer, window, limit, ceiling }, palette)}
        inputs={[closer, window[0], window[1], limit?.bytes, ceiling]}
        attach={follow}
      />
      <PhaseButtons timeline={timeline} window={window} show={setWindow} peak={timeline.event[peak]!} />
    </>
  );
}

/** The timeline with more points inside the window, once it has been still for a moment. */
function useCloser(timeline: Timeline, path: string, [first, end]: [number, number]): Timeline {
  const [closer, setCloser] = useState(timeline);
  useEffect(() => setCloser(timeline), [timeline]);
  useEffect(() => {
    const wide = end - first > 0.7 * timeline.event_count;
    if (wide || timeline.event.length >= timeline.event_count) return;
    const ending = new AbortController();
    const timer = setTimeout(() => {
      const margin = Math.round((end - first) / 2);
      const from = Math.max(0, first - margin);
      const to = Math.min(timeline.event_count, end + margin);
      const query = `?max_points=${POINTS}&first_event=${from}&end_event=${Math.max(to, from + 1)}`;
      api<Timeline>(path + query, { signal: ending.signal }).then(
        (part) => setCloser(withPart(timeline, part)),
        () => {}, // the coarse points stay
      );
    }, LOOK_CLOSER_MS);
    return () => (clearTimeout(timer), ending.abort());
  }, [timeline, path, first, end]);
  return closer;
}

function Legend({ timeline, limit }: { timeline: Timeline; limit: Limit | null }) {
  const used = CATEGORIES.filter((name) => timeline.bytes_by_category[name].some((value) => value > 0));
  const highest = Math.max(...timeline.total_bytes, ...(timeline.reserved_bytes ?? []));
  return (
    <ul class="legend" aria-label="Legend">
      {used.map((name) => (
        <li>
          <Swatch category={name} /> {STYLES[name].label}
        </li>
      ))}
      {timeline.reserved_bytes && (
        <li>
          <span class="swatch-line" aria-hidden="true" /> Reserved by the allocator
        </li>
      )}
      {limit && limit.bytes >= 2 * highest && (
        <li class="note">
          {limit.label} ({bytes(limit.bytes)}) lies above the picture
        </li>
      )}
    </ul>
  );
}

function PhaseButtons(props: {
  timeline: Timeline;
  window: [number, number];
  peak: number;
  show: (window: [number, number]) => void;
}) {
  const { timeline, window, show } = props;
  const count = timeline.event_count;
  const near = Math.max(20, Math.round(count / 100));
  const phases = timeline.phases.map(({ name, first_event, end_event }): View => [
    name,
    [first_event, Math.max(end_event, first_event + 1)],
  ]);
  const views: View[] = [
    ["whole", [0, count]],
    ["around the peak", [Math.max(0, props.peak - near), Math.min(count, props.peak + near)]],
    ...(phases.length <= MOST_BUTTONS ? phases : []),
  ];
  const isShown = ([, view]: View) => view[0] === window[0] && view[1] === window[1];
  return (
    <div class="chips" role="group" aria-label="Part of the timeline that is shown">
      {views.map((view) => (
        <button type="button" class="chip" aria-pressed={isShown(view)} onClick={() => show(view[1])}>
          {view[0]}
        </button>
      ))}
      {phases.length > MOST_BUTTONS && (
        <label class="chip-choice">
          Phase{" "}
          <Select
            value={phases.find(isShown)?.[0] ?? ""}
            options={[["", "all"], ...phases.map(([name]) => name)]}
            onValue={(chosen) => show(phases.find(([name]) => name === chosen)?.[1] ?? [0, count])}
          />
        </label>
      )}
    </div>
  );
}
