import { useState } from "react";
import { Button } from "./button.tsx";
import { writeClipboard } from "./write-clipboard.ts";

/** Time for which a button shows that it has copied. Milliseconds. */
const SHOWN_MS = 2_000;

interface CopyButtonProps {
  readonly text: string;
  /** Name of the copied text for screen readers, e.g. `the token`. */
  readonly what: string;
  readonly onCopied?: () => void;
}

/** Copies a text to the clipboard, and shows whether that succeeded: it fails on a page that is not on HTTPS or loopback. */
export function CopyButton({ text, what, onCopied }: CopyButtonProps) {
  const [result, setResult] = useState<"copied" | "failed">();
  const copy = async (): Promise<void> => {
    const isCopied = await writeClipboard(text);
    setResult(isCopied ? "copied" : "failed");
    if (isCopied) onCopied?.();
    setTimeout(() => setResult(undefined), SHOWN_MS);
  };
  return (
    <>
      <Button onClick={() => void copy()} aria-label={`Copy ${what}`}>
        {result === "copied" ? "Copied" : "Copy"}
      </Button>
      <span role="status" className={result === "failed" ? undefined : "visually-hidden"}>
        {result === "copied" && `Copied ${what}.`}
        {result === "failed" && "The browser does not let this page copy. Select the text instead."}
      </span>
    </>
  );
}
