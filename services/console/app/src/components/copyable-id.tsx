import { useState } from "react";
import styles from "./copyable-id.module.css";

/** Id of a thing: short to look at, whole on hover, copied by a click. */
export function CopyableId({ id }: { readonly id: string }) {
  const [isCopied, setCopied] = useState(false);
  const copy = async (): Promise<void> => {
    await navigator.clipboard.writeText(id);
    setCopied(true);
    setTimeout(() => setCopied(false), 1_500);
  };
  const shown = isCopied ? "copied" : shortId(id);
  return (
    <button
      type="button"
      className={styles.id}
      title={`${id} (click to copy)`}
      aria-label={isCopied ? shown : `Copy ${shown}`}
      onClick={() => void copy()}
    >
      {shown}
    </button>
  );
}

/** Prefix and last 6 characters of a TypeID: ids made at the same time differ at their end. */
function shortId(id: string): string {
  const underscore = id.indexOf("_");
  return underscore < 0 || id.length <= underscore + 9 ? id : `${id.slice(0, underscore + 1)}…${id.slice(-6)}`;
}
