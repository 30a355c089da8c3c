import type { Device } from "../../api/types";
import { Choice, Field, Select, TextInput } from "../../parts/field";
import { Section } from "../../parts/section";
import { bytes } from "../../units";
import type { WorkloadField } from "./draft";
import type { PartProps } from "./model";

const MODES: ["train" | "inference" | "generation", string][] = [
  ["train", "Train"],
  ["inference", "Inference"],
  ["generation", "Generation"],
];
const PRECISIONS = ["fp32", "bf16", "fp16", "amp-bf16", "amp-fp16", "fp64"];
const OPTIMIZERS = ["adamw", "adam", "sgd", "adafactor", "rmsprop", "adagrad", "nadam", "adamw8bit"];

export function WorkloadPart({ draft, change, devices }: PartProps & { devices: Device[] }) {
  const { workload } = draft;
  const set = (name: WorkloadField) => (value: string) => change({ workload: { ...workload, [name]: value } });
  const number = (name: WorkloadField, label: string, placeholder?: string) => (
    <Field label={label} pointer={`/workload/${name}`}>
      <TextInput inputMode="numeric" value={workload[name]} onValue={set(name)} placeholder={placeholder} />
    </Field>
  );
  const mode = workload.mode as "train" | "inference" | "generation";
  return (
    <Section title="Workload and device">
      <Choice label="What is done with the model" value={mode} options={MODES} onValue={set("mode")} />
      <div class="form-grid">
        {number("batch_size", "Batch size")}
        {number("sequence_length", mode === "generation" ? "Tokens of the prompt" : "Sequence length")}
        {mode === "generation" && number("new_tokens", "New tokens", "needed")}
        <Field label="Precision" pointer="/workload/precision">
          <Select value={workload.precision} options={PRECISIONS} onValue={set("precision")} />
        </Field>
        {mode === "train" && (
          <Field label="Optimizer" pointer="/workload/optimizer">
            <TextInput value={workload.optimizer} onValue={set("optimizer")} list="optimizers" />
          </Field>
        )}
        {mode === "train" && number("gradient_accumulation_steps", "Accumulation steps")}
        {mode === "generation" && (
          <Field label="Key-value cache" pointer="/workload/cache">
            <Select value={workload.cache} options={["dynamic", "static", "none"]} onValue={set("cache")} />
          </Field>
        )}
        <Field label="Device" pointer="/device">
          <Select
            value={draft.device}
            options={devices.map((device): [string, string] => [
              device.name,
              device.memory_bytes ? `${device.name} (${bytes(device.memory_bytes)})` : device.name,
            ])}
            onValue={(device) => change({ device })}
          />
        </Field>
      </div>
      <datalist id="optimizers">
        {OPTIMIZERS.map((name) => (
          <option value={name} />
        ))}
      </datalist>
      <details>
        <summary>Lengths of labels, sizes of images</summary>
        <div class="form-grid">
          {number("target_length", "Tokens of the labels", "as the sequence")}
          {number("image_size", "Pixels a side", "from the config")}
        </div>
      </details>
    </Section>
  );
}
