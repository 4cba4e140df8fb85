import { cpSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createLogger } from "@routeplane/runtime";
import { afterEach, beforeEach } from "vitest";
import type { EventBatch } from "../src/spool/event-batch.ts";
import { Spool, type SpoolOptions } from "../src/spool/spool.ts";

export const MAX_BYTES = 1024 ** 2;

/** Spools of the tests of a file. Their folders are removed with each test. */
export class SpoolsUnderTest {
  /** Folder of all folders. */
  root = "";
  /** Lines of the log. */
  lines: string[] = [];
  #folders = 0;

  constructor() {
    beforeEach(() => {
      this.root = mkdtempSync(join(tmpdir(), "routeplane-spool-"));
      this.#folders = 0;
      this.lines = [];
    });
    afterEach(() => rmSync(this.root, { recursive: true, force: true }));
  }

  readonly open = (folder: string, options: Partial<SpoolOptions> = {}): Spool => {
    const log = createLogger("test", (line) => (this.lines.push(line), ""));
    return Spool.open({ folder, maxBytes: MAX_BYTES, log, ...options });
  };

  readonly newFolder = (): string => join(this.root, `${++this.#folders}`);

  /** Copies the folder as a SIGKILL at this moment would leave it. */
  readonly killed = (folder: string): string => {
    const copy = this.newFolder();
    cpSync(folder, copy, { recursive: true });
    rmSync(join(copy, "lock"));
    return copy;
  };
}

export const segmentsIn = (folder: string): readonly string[] =>
  readdirSync(folder)
    .filter((name) => name.endsWith(".journal"))
    .toSorted();

export const bytesOf = (text: string): Uint8Array => Buffer.from(text);
export const textOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString();

export const pendingIn = (spool: Spool): readonly string[] =>
  spool.previousRun.pendingSettlements.map(({ payload }) => textOf(payload));

/** Takes all batches of a spool, without acknowledging them. */
export async function takeAll(spool: Spool, maxEvents = 100): Promise<readonly EventBatch[]> {
  const batches: EventBatch[] = [];
  for (let next = await spool.nextBatch(maxEvents, 1e6); next; next = await spool.nextBatch(maxEvents, 1e6))
    batches.push(next);
  return batches;
}
