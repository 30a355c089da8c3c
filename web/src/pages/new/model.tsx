import type { ModelCatalogue } from "../../api/types";
import { Choice, Field, Select } from "../../parts/field";
import { Section } from "../../parts/section";
import { withPreset, type Draft, type Source } from "./draft";

const SOURCES: [Source, string][] = [
  ["preset", "Preset"],
  ["config", "config.json"],
  ["description", "Description"],
];

export interface PartProps {
  draft: Draft;
  change: (changes: Partial<Draft>) => void;
}

export function ModelPart({ draft, change, models }: PartProps & { models: ModelCatalogue }) {
  return (
    <Section title="Model">
      <Choice
        label="Where the model's description comes from"
        value={draft.source}
        options={SOURCES}
        onValue={(source) => change({ source })}
      />
      {draft.source === "preset" && <PresetFields draft={draft} change={change} models={models} />}
      {draft.source === "config" && <ConfigFields draft={draft} change={change} models={models} />}
      {draft.source === "description" && (
        <Field
          label="Model description"
          pointer="/model"
          hint="JSON with a source: layers, architecture, or transformers with adapters and the like"
        >
          <textarea
            spellcheck={false}
            rows={14}
            value={draft.description}
            onInput={(event) => change({ description: event.currentTarget.value })}
          />
        </Field>
      )}
    </Section>
  );
}

function PresetFields({ draft, change, models }: PartProps & { models: ModelCatalogue }) {
  const preset = models.presets.find(({ name }) => name === draft.preset);
  const choose = (name: string, size: string) => {
    const chosen = models.presets.find((candidate) => candidate.name === name);
    if (chosen) change(withPreset(draft, chosen, size in chosen.sizes ? size : "small"));
  };
  const sizes = Object.entries(preset?.sizes ?? {}).map(([name, text]): [string, string] => [name, `${name}: ${text}`]);
  return (
    <>
      <div class="form-grid size-wide">
        <Field label="Preset" pointer="/model/name">
          <Select
            value={draft.preset}
            options={models.presets.map(({ name }) => name)}
            onValue={(name) => choose(name, draft.size)}
          />
        </Field>
        <Field label="Size" pointer="/model/size">
          <Select value={draft.size} options={sizes} onValue={(size) => choose(draft.preset, size)} />
        </Field>
      </div>
      {preset && (
        <p class="note">
          {preset.summary}. {preset.paper}
        </p>
      )}
    </>
  );
}

function ConfigFields({ draft, change, models }: PartProps & { models: ModelCatalogue }) {
  const read = async (file: File | undefined) => file && change({ config: await file.text() });
  return (
    <>
      <div class="form-grid">
        <Field label="Task" pointer="/model/task">
          <Select
            value={draft.task}
            options={models.tasks.map(({ name }) => name)}
            onValue={(task) => change({ task })}
          />
        </Field>
        <Field label="Attention" pointer="/model/attention">
          <Select
            value={draft.attention}
            options={[["", "the library's default"], "sdpa", "eager"]}
            onValue={(attention) => change({ attention })}
          />
        </Field>
      </div>
      <Field
        label="Configuration"
        pointer="/model/config"
        hint="model_type and any fields of its configuration; what is left out has the library's default"
      >
        <textarea
          spellcheck={false}
          rows={12}
          value={draft.config}
          onInput={(event) => change({ config: event.currentTarget.value })}
          onDrop={(event) => {
            event.preventDefault();
            void read(event.dataTransfer?.files[0]);
          }}
        />
      </Field>
      <label class="file">
        <span class="note">Or choose a file:</span>
        <input
          type="file"
          accept=".json,application/json"
          onChange={(event) => void read(event.currentTarget.files?.[0])}
        />
      </label>
    </>
  );
}
