import { type KeyboardEvent, useId, useRef, useState } from "react";
import { CopyButton } from "../copy-button.tsx";
import styles from "./snippets.module.css";
import { snippetsFor } from "./snippets.ts";

interface SnippetsProps {
  readonly gatewayUrl: string;
  readonly model: string;
}

/** Snippets for several clients, as tabs that can be chosen with the arrow keys. They contain no token. */
export function Snippets({ gatewayUrl, model }: SnippetsProps) {
  const snippets = snippetsFor(gatewayUrl, model);
  const [shownId, setShownId] = useState(snippets[0]?.id);
  const tabs = useRef<HTMLDivElement>(null);
  const id = useId();
  const index = snippets.findIndex((snippet) => snippet.id === shownId);
  const shown = snippets[index];
  const onKeyDown = (event: KeyboardEvent): void => {
    const next = nextIndex(event.key, index, snippets.length);
    if (next === undefined) return;
    event.preventDefault();
    setShownId(snippets[next]?.id);
    tabs.current?.querySelectorAll("button")[next]?.focus();
  };
  return (
    <div>
      <div ref={tabs} className={styles.tabs} role="tablist" aria-label="Client" tabIndex={-1} onKeyDown={onKeyDown}>
        {snippets.map((snippet) => (
          <button
            key={snippet.id}
            type="button"
            role="tab"
            id={`${id}-${snippet.id}`}
            aria-selected={snippet.id === shownId}
            aria-controls={`${id}-code`}
            tabIndex={snippet.id === shownId ? 0 : -1}
            onClick={() => setShownId(snippet.id)}
          >
            {snippet.title}
          </button>
        ))}
      </div>
      {shown !== undefined && (
        <div id={`${id}-code`} role="tabpanel" aria-labelledby={`${id}-${shown.id}`} className={styles.panel}>
          <div className={styles.bar}>
            <small>{shown.place}</small>
            <CopyButton text={shown.code} what={`the snippet for ${shown.title}`} />
          </div>
          <pre className={styles.code} tabIndex={0} role="region" aria-label={`Snippet for ${shown.title}`}>
            <code>{shown.code}</code>
          </pre>
        </div>
      )}
    </div>
  );
}

function nextIndex(key: string, index: number, count: number): number | undefined {
  if (key === "ArrowRight") return (index + 1) % count;
  if (key === "ArrowLeft") return (index + count - 1) % count;
  if (key === "Home") return 0;
  return key === "End" ? count - 1 : undefined;
}
