import type { Prediction } from "../../api/types";
import { Section } from "../../parts/section";
import { Bytes, Figure, Figures } from "../../parts/values";
import { count, flops, integer, seconds } from "../../units";

/** Whether the device can serve it; nothing where that is not known. */
export function Verdict({ prediction, device }: { prediction: Prediction; device: string }) {
  const failure = prediction.out_of_memory;
  if (prediction.fits === true) {
    return (
      <p class="verdict verdict-good">
        <strong>✓ Fits {device}</strong>: its allocator can serve every request.
      </p>
    );
  }
  if (prediction.fits === false && failure) {
    return (
      <p class="verdict verdict-bad">
        <strong>✕ Does not fit {device}</strong>: in {failure.phase}, <code>{failure.tensor}</code> asks for{" "}
        <Bytes value={failure.requested_bytes} /> where <Bytes value={failure.free_bytes} /> are free;{" "}
        <Bytes value={failure.unallocated_bytes} /> are lost to fragmentation.
      </p>
    );
  }
  return null;
}

export function KeyNumbers({ prediction }: { prediction: Prediction }) {
  const p = prediction;
  const frozen = p.parameter_count - p.trainable_parameter_count;
  return (
    <Figures>
      <Figure label="Peak, live" note={`in ${p.peak_phase}`}>
        <Bytes value={p.peak_bytes} />
      </Figure>
      {p.reserved_bytes !== null && (
        <Figure label="Reserved at most" note="by the caching allocator">
          <Bytes value={p.reserved_bytes} />
        </Figure>
      )}
      {p.device_bytes !== null && (
        <Figure label="Of the device" note={p.context_bytes?.measured ? "with its context, measured" : "with its context at most"}>
          <Bytes value={p.device_bytes} />
        </Figure>
      )}
      {p.load_peak_bytes !== null && (
        <Figure label="While it is built" note="before it is compressed">
          <Bytes value={p.load_peak_bytes} />
        </Figure>
      )}
      <Figure label="Parameters" note={frozen > 0 ? `${count(p.trainable_parameter_count)} trainable` : null}>
        <span title={integer(p.parameter_count)}>{count(p.parameter_count)}</span>
      </Figure>
      <Figure label="A step computes">
        <span title={`${integer(p.step_flops)} FLOP`}>{flops(p.step_flops)}</span>
      </Figure>
      {p.step_seconds !== null && (
        <Figure
          label="A step takes"
          note={p.step_seconds_basis === "calibrated" ? `by ${p.step_seconds_runs} runs` : "at least, by the roofline"}
        >
          {seconds(p.step_seconds)}
        </Figure>
      )}
      <Figure label="Ops">{integer(p.op_count)}</Figure>
    </Figures>
  );
}

export function Phases({ prediction }: { prediction: Prediction }) {
  const reserved = prediction.phases.some((phase) => phase.reserved_bytes !== null);
  return (
    <details class="more">
      <summary>Phases in numbers</summary>
      <div class="scroll">
        <table>
          <thead>
            <tr>
              <th>Phase</th>
              <th class="number">Peak</th>
              <th class="number">At its end</th>
              {reserved && <th class="number">Reserved</th>}
            </tr>
          </thead>
          <tbody>
            {prediction.phases.map((phase) => (
              <tr>
                <td>
                  {phase.name}
                  {phase.name === prediction.peak_phase && <strong> ▲ peak</strong>}
                </td>
                <td class="number">
                  <Bytes value={phase.peak_bytes} />
                </td>
                <td class="number">
                  <Bytes value={phase.end_bytes} />
                </td>
                {reserved && (
                  <td class="number">
                    <Bytes value={phase.reserved_bytes} />
                  </td>
                )}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </details>
  );
}

export function Limitations({ items }: { items: string[] }) {
  if (items.length === 0) return null;
  return (
    <Section title="Limitations" note="what these numbers do not cover">
      <ul class="bullets">
        {items.map((text) => (
          <li>{text}</li>
        ))}
      </ul>
    </Section>
  );
}
