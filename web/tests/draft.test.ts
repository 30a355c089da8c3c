import { describe, expect, it } from "vitest";
import { draftOf, emptyDraft, errorsOf, planBody, simulationBody } from "../src/pages/new/draft";

const TYPES = { "text-generation": ["gpt2", "gpt_neo"], "fill-mask": ["bert"] };
const draft = (changes: object) => ({ ...emptyDraft(), source: "config" as const, ...changes });

describe("errorsOf", () => {
  it.each([
    ["{", "is not JSON"],
    ["[]", "is no JSON object"],
    ["{}", 'needs "model_type"'],
    ['{"model_type": "gpt3"}', "there are gpt2, gpt_neo"],
    ['{"model_type": "bert"}', "choose one of: fill-mask"],
  ])("of the config %s: %s", (config, text) => {
    expect(errorsOf(draft({ config }), TYPES).get("/model/config")).toContain(text);
  });

  it("names the field of a number that is none", () => {
    const workload = { ...emptyDraft().workload, batch_size: "0", sequence_length: "x" };
    expect([...errorsOf(draft({ workload }), TYPES).keys()]).toEqual(["/workload/batch_size", "/workload/sequence_length"]);
  });

  it("is empty for what can be sent", () => expect(errorsOf(emptyDraft(), TYPES).size).toBe(0));
});

it("sends only what the mode knows", () => {
  const workload = { ...emptyDraft().workload, mode: "generation", new_tokens: "5" };
  expect(simulationBody(draft({ workload }))["workload"]).toEqual({
    mode: "generation",
    precision: "fp32",
    batch_size: 4,
    sequence_length: 128,
    new_tokens: 5,
    cache: "dynamic",
  });
});

it("makes a stored request again", () => {
  const body = planBody(draft({ config: '{"model_type": "gpt2"}', budget: "1GiB", allow: ["selective"] }));
  const stored = { ...body, workload: { ...(body["workload"] as object), image_size: null } };
  expect(planBody(draftOf(stored as never))).toEqual(body);
});

it("passes on what the form has no field for", () => {
  const optimizer = { name: "sgd", momentum: 0.9 };
  const body = {
    ...simulationBody(draft({ config: '{"model_type": "gpt2"}' })),
    workload: { mode: "train", batch_size: 1, sequence_length: 8, precision: "fp32", optimizer, distillation: { logits: "stored" } },
    placement: [{ tier: "host" }],
    strategy: { version: 1, checkpointing: "none", units: [], optimizer: {} },
  };
  const again = draftOf(body as never);
  expect(simulationBody(again)).toMatchObject({ workload: { optimizer, distillation: { logits: "stored" } }, placement: [{ tier: "host" }] });
  const other = { ...again, workload: { ...again.workload, optimizer: "adamw" } };
  expect(simulationBody(other)["workload"]).toMatchObject({ optimizer: { name: "adamw" } });
  expect(JSON.stringify(simulationBody(other))).not.toContain("momentum");
});
