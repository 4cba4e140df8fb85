import { copyFile, stat, truncate } from "node:fs/promises";

/** Bound of the logs of a node. */
export interface LogBound {
  /** Size from which a log is emptied, after its content was copied to `<log>.1`. */
  readonly maxBytes: number;
  /** Interval at which sizes are checked. */
  readonly everyMs: number;
}

export const LOG_BOUND: LogBound = { maxBytes: 64 * 1024 ** 2, everyMs: 5_000 };

/**
 * Empties a log that has reached its bound. It is copied, not renamed, because its process goes on appending to the open file; lines that
 * are written between copy and truncation are lost. On a full disk, the content that cannot be copied is lost too.
 */
export async function boundLog(path: string, maxBytes: number): Promise<void> {
  const size = (await stat(path).catch(() => undefined))?.size ?? 0;
  if (size < maxBytes) return;
  await copyFile(path, `${path}.1`).catch(() => {});
  await truncate(path).catch(() => {});
}
