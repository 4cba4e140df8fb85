import type { Context } from "../context.ts";

/** Time after which a command that reads many pages shows its progress. */
const SHOWN_AFTER_MS = 2_000;

/**
 * Returns a function that shows the number of rows so far on a line of stderr, from 2 s on, if that is a terminal and the rows
 * themselves go elsewhere.
 */
export function startProgress(
  { stdout, stderr }: Pick<Context, "stdout" | "stderr">,
  noun: string,
): (rows: number) => void {
  if (stderr.isTTY !== true || stdout.isTTY === true) return () => {};
  const shownFrom = performance.now() + SHOWN_AFTER_MS;
  return (rows) => {
    if (performance.now() >= shownFrom) stderr.write(`\r${rows} ${noun}\r`);
  };
}
