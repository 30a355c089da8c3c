import { useEffect, useRef, useState } from "preact/hooks";
import { currentKey, forgetKey, giveKey, onKeyChange, pendingQuestion } from "../api/key";

/** Asks for the API key while a call needs one; a button to forget it otherwise. */
export function KeyDialog() {
  const [, setRound] = useState(0);
  useEffect(() => onKeyChange(() => setRound((value) => value + 1)), []);
  const question = pendingQuestion();
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    if (question && !dialog.current?.open) dialog.current?.showModal();
    if (!question) dialog.current?.close();
  }, [question]);
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    const key = new FormData(event.currentTarget as HTMLFormElement).get("key");
    if (typeof key === "string" && key.trim()) giveKey(key.trim());
  };
  return (
    <>
      {currentKey() !== null && !question && (
        <button type="button" class="quiet" onClick={() => (forgetKey(), location.reload())}>
          Forget key
        </button>
      )}
      <dialog ref={dialog} aria-labelledby="key-title" onCancel={(event) => event.preventDefault()}>
        {question && (
          <form onSubmit={submit}>
            <h2 id="key-title">{question.wrong ? "This key is not accepted" : "This service asks for a key"}</h2>
            {question.detail && <p class="note">{question.detail}</p>}
            <label class="field">
              <span>API key</span>
              <input name="key" type="password" autocomplete="off" placeholder="hr_…" required autofocus />
            </label>
            <p class="note">It is kept in this tab until it is closed, and sent to this service only.</p>
            <button class="primary">Continue</button>
          </form>
        )}
      </dialog>
    </>
  );
}
