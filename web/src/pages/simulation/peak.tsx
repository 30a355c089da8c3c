import { useState } from "preact/hooks";
import { useResource } from "../../api/hooks";
import type { Peak, PeakModule, PeakTensor, Prediction } from "../../api/types";
import { held } from "../../categories";
import { Treemap } from "../../charts/treemap";
import { Section, WhenSeen } from "../../parts/section";
import { Await } from "../../parts/states";
import { Bytes, CategoryName } from "../../parts/values";
import { integer } from "../../units";
import { CategoryBar } from "../../parts/category_bar";

/** What is alive at the peak: by category, by module, tensor by tensor. */
export function PeakSections({ path, prediction }: { path: string; prediction: Prediction }) {
  const peak = useResource<Peak>(`${path}/peak`);
  return (
    <>
      <div class="halves third">
        <Section title="At the peak" note="by category">
          <ByCategory prediction={prediction} />
        </Section>
        <Section title="At the peak" note="by module; select one to look inside">
          <Await loaded={peak}>
            {(data) => (
              <>
                <WhenSeen>{() => <Treemap modules={data.modules} />}</WhenSeen>
                <p class="note">
                  {data.op ? (
                    <>
                      Reached in <code>{data.op.name}</code> of {data.op.module || "the step itself"},{" "}
                    </>
                  ) : (
                    "Reached before the first op, "
                  )}
                  {data.phase}, event {integer(data.event)} of {integer(data.event_count)};{" "}
                  {integer(data.storage_count)} storages are alive.
                </p>
                <Modules modules={data.modules} total={data.total_bytes} />
              </>
            )}
          </Await>
        </Section>
      </div>
      <Section title="Largest tensors at the peak" note="and what made them">
        <Await loaded={peak}>{(data) => <Tensors tensors={data.tensors} total={data.total_bytes} />}</Await>
      </Section>
    </>
  );
}

function ByCategory({ prediction }: { prediction: Prediction }) {
  const total = prediction.peak_bytes;
  return (
    <>
      <CategoryBar parts={prediction.at_peak} total={total} />
      <table>
        <tbody>
          {held(prediction.at_peak).map(([category, size]) => (
            <tr>
              <th scope="row">
                <CategoryName category={category} />
              </th>
              <td class="number">
                <Bytes value={size} />
              </td>
              <td class="number">{share(size, total)}</td>
            </tr>
          ))}
        </tbody>
        <tfoot>
          <tr>
            <th scope="row">Peak</th>
            <td class="number">
              <strong>
                <Bytes value={total} />
              </strong>
            </td>
            <td class="number">100 %</td>
          </tr>
        </tfoot>
      </table>
    </>
  );
}

function share(size: number, total: number): string {
  const percent = (100 * size) / total;
  return percent < 0.1 ? "< 0.1 %" : `${percent.toFixed(1)} %`;
}

function Modules({ modules, total }: { modules: PeakModule[]; total: number }) {
  return (
    <details class="more">
      <summary>Modules as a table</summary>
      <div class="scroll tall" tabIndex={0} role="region" aria-label="Modules">
        <table>
          <thead>
            <tr>
              <th>Module</th>
              <th class="number">Live</th>
              <th class="number">Share</th>
              <th class="number">Storages</th>
            </tr>
          </thead>
          <tbody>
            {modules.map((module) => (
              <tr>
                <td class="wide">
                  <code>{module.module || "the model itself"}</code>
                </td>
                <td class="number">
                  <Bytes value={module.bytes} />
                </td>
                <td class="number">{share(module.bytes, total)}</td>
                <td class="number">{integer(module.count)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </details>
  );
}

function Tensors({ tensors, total }: { tensors: PeakTensor[]; total: number }) {
  const [all, setAll] = useState(false);
  const shown = all ? tensors : tensors.slice(0, 12);
  return (
    <>
      <div class="scroll">
        <table>
          <thead>
            <tr>
              <th class="number">Bytes</th>
              <th class="number">Share</th>
              <th>Category</th>
              <th>Tensor</th>
              <th>Made by</th>
              <th>In module</th>
              <th>Phase</th>
            </tr>
          </thead>
          <tbody>
            {shown.map((tensor) => (
              <tr>
                <td class="number">
                  <Bytes value={tensor.bytes} />
                </td>
                <td class="number">{share(tensor.bytes, total)}</td>
                <td>
                  <CategoryName category={tensor.category} />
                </td>
                <td>
                  {tensor.name && <code>{tensor.name} </code>}
                  {tensor.dtype && <code>{`${tensor.dtype}[${tensor.shape?.join(", ") ?? ""}]`}</code>}
                </td>
                <td>{tensor.op ? <code>{tensor.op}</code> : <span class="none">before the step</span>}</td>
                <td>
                  <code>{tensor.module || "–"}</code>
                </td>
                <td>{tensor.phase ?? <span class="none">–</span>}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {tensors.length > shown.length && (
        <button type="button" class="small" onClick={() => setAll(true)}>
          Show {tensors.length}
        </button>
      )}
    </>
  );
}
