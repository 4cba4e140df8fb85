import { useState } from "react";
import styles from "./copyable-id.module.css";
import { writeClipboard } from "./write-clipboard.ts";

/** Id of a resource: shortened, whole on hover, copied by a click. If the browser does not allow copying, a click shows the whole id. */
export function CopyableId({ id }: { readonly id: string }) {
  const [result, setResult] = useState<"copied" | "failed">();
  const copy = async (): Promise<void> => {
    if (!(await writeClipboard(id))) return setResult("failed");
    setResult("copied");
    setTimeout(() => setResult(undefined), 1_500);
  };
  if (result === "failed") return <code>{id}</code>;
  const shown = result ?? shortId(id);
  return (
    <button
      type="button"
      className={styles.id}
      title={`${id} (click to copy)`}
      aria-label={result ?? `Copy ${shown}`}
      onClick={() => void copy()}
    >
      {shown}
    </button>
  );
}

/** Prefix and last 6 characters of a TypeID, because ids that were made at the same time differ at their end. */
function shortId(id: string): string {
  const underscore = id.indexOf("_");
  return underscore < 0 || id.length <= underscore + 9 ? id : `${id.slice(0, underscore + 1)}…${id.slice(-6)}`;
}
