/** Labelled inputs that show what is wrong with them. */

import { cloneElement, createContext, type VNode } from "preact";
import { useContext, useId } from "preact/hooks";

/** JSON pointer -> what is wrong there. */
export const FieldErrors = createContext<ReadonlyMap<string, string>>(new Map());

/** What is wrong at the pointer or anywhere below it. */
export function errorAt(errors: ReadonlyMap<string, string>, pointer: string): string | null {
  const found = [...errors]
    .filter(([at]) => at === pointer || at.startsWith(`${pointer}/`))
    .map(([at, text]) => (at === pointer ? text : `${at.slice(pointer.length + 1)}: ${text}`));
  return found.length > 0 ? found.join("; ") : null;
}

interface Props {
  label: string;
  pointer: string;
  hint?: string;
  children: VNode<Record<string, unknown>>;
}

export function Field({ label, pointer, hint, children }: Props) {
  const id = useId();
  const error = errorAt(useContext(FieldErrors), pointer);
  const described = [error !== null ? `${id}-error` : null, hint ? `${id}-hint` : null].filter(Boolean).join(" ");
  const input = cloneElement(children, {
    id,
    "aria-invalid": error !== null ? "true" : undefined,
    "aria-describedby": described || undefined,
  });
  return (
    <div class="field">
      <label for={id}>{label}</label>
      {input}
      {hint && (
        <small id={`${id}-hint`} class="hint">
          {hint}
        </small>
      )}
      {error !== null && (
        <p id={`${id}-error`} class="field-error">
          {error}
        </p>
      )}
    </div>
  );
}

export function Select(props: {
  value: string;
  options: (string | [string, string])[];
  onValue: (value: string) => void;
  [attribute: string]: unknown;
}) {
  const { value, options, onValue, ...attributes } = props;
  return (
    <select {...attributes} value={value} onChange={(event) => onValue(event.currentTarget.value)}>
      {options.map((option) => {
        const [name, label] = typeof option === "string" ? [option, option] : option;
        return (
          <option value={name} selected={name === value}>
            {label}
          </option>
        );
      })}
    </select>
  );
}

export function TextInput(props: {
  value: string;
  onValue: (value: string) => void;
  [attribute: string]: unknown;
}) {
  const { value, onValue, ...attributes } = props;
  return <input {...attributes} value={value} onInput={(event) => onValue(event.currentTarget.value)} />;
}

/** Choices of which exactly one holds, as buttons. */
export function Choice<Value extends string>(props: {
  label: string;
  value: Value;
  options: [Value, string][];
  onValue: (value: Value) => void;
}) {
  const name = useId();
  return (
    <fieldset class="choice">
      <legend class="visually-hidden">{props.label}</legend>
      {props.options.map(([value, text]) => (
        <label>
          <input
            type="radio"
            class="visually-hidden"
            name={name}
            checked={value === props.value}
            onChange={() => props.onValue(value)}
          />
          <span>{text}</span>
        </label>
      ))}
    </fieldset>
  );
}
