import { type FileHandle, open, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { CliError, ExitCode, usageError } from "../../errors.ts";

/** Progress of an export. It is saved beside the file until the export is complete. */
interface Progress {
  /** Options of the export, as JSON: it can be resumed only with the same options. Named `what` in the file. */
  readonly selection: string;
  /** Start of the time range, computed when the export began, e.g. for `24h`; undefined: the start of the log. */
  readonly from?: Date | undefined;
  /** End of the time range, exclusive. By default the time at which the export began, so that it has no later requests. */
  readonly to: Date;
  readonly pageToken: string;
  readonly rows: number;
  /** Length of the complete pages in the file. Bytes after it are of a page that was not finished. */
  readonly bytes: number;
}

/** Progress as JSON in the file. */
type SavedProgress = Omit<Progress, "selection" | "from" | "to"> & {
  readonly what: string;
  readonly from?: string;
  readonly to: string;
};

/** A file that is written page by page, and can be resumed after an interruption. */
export class ExportFile {
  readonly #path: string;
  readonly #file: FileHandle;
  #progress: Progress;

  constructor(path: string, file: FileHandle, progress: Progress) {
    this.#path = path;
    this.#file = file;
    this.#progress = progress;
  }

  get progress(): Progress {
    return this.#progress;
  }

  /**
   * Appends a page. Resolves once the page is synced and a resumed export would start after it.
   *
   * @throws CliError if the page cannot be written; the export can then be resumed after the previous page
   */
  async add(text: string, rows: number, nextPageToken: string): Promise<void> {
    const bytes = Buffer.from(text);
    const before = this.#progress;
    const after = {
      ...before,
      pageToken: nextPageToken,
      rows: before.rows + rows,
      bytes: before.bytes + bytes.length,
    };
    try {
      await writeAll(this.#file, bytes, before.bytes);
      await this.#file.sync();
      if (nextPageToken !== "") await save(this.#path, after);
    } catch (error) {
      throw unwritable(this.#path, error);
    }
    this.#progress = after;
  }

  close(): Promise<void> {
    return this.#file.close();
  }

  /** Removes the saved progress, after the last page. */
  complete(): Promise<void> {
    return rm(progressOf(this.#path), { force: true });
  }
}

/**
 * Creates the file and its saved progress, and writes `head`.
 *
 * @throws CliError if the file exists or cannot be written
 */
export async function beginExport(
  path: string,
  selection: string,
  range: Pick<Progress, "from" | "to">,
  head: string,
): Promise<ExportFile> {
  const file = await open(path, "wx+", 0o600).catch(async (error: unknown) => {
    if (!(await exists(path))) throw unwritable(path, error);
    const resumable = await exists(progressOf(path));
    const hint = resumable ? "Add --resume to go on with it, or name another file." : "Name another file.";
    throw usageError(`--output: ${path} exists`, hint);
  });
  try {
    const bytes = Buffer.from(head);
    await writeAll(file, bytes, 0);
    const progress = { selection, ...range, pageToken: "", rows: 0, bytes: bytes.length };
    await save(path, progress);
    return new ExportFile(path, file, progress);
  } catch (error) {
    await file.close();
    await rm(path, { force: true });
    throw unwritable(path, error);
  }
}

/**
 * Opens the file of an interrupted export, and removes the page that was not finished.
 *
 * @throws CliError if there is no interrupted export, it had other options, or its files were changed
 */
export async function resumeExport(path: string, selection: string): Promise<ExportFile> {
  const text = await readFile(progressOf(path), "utf8").catch(() => undefined);
  if (text === undefined || !(await exists(path))) {
    throw usageError(`--resume: there is no interrupted export at ${path}`, "A complete export needs no --resume.");
  }
  const { what, from, to, ...saved } = parseProgress(path, text);
  if (what !== selection) {
    throw usageError("--resume: the interrupted export had other options", `It had ${what}.`);
  }
  const file = await open(path, "r+").catch((error: unknown) => {
    throw unwritable(path, error);
  });
  if ((await file.stat()).size < saved.bytes) {
    await file.close();
    throw damaged(path, `${path} is shorter than what was exported`);
  }
  await file.truncate(saved.bytes);
  const range = { ...(from !== undefined && { from: new Date(from) }), to: new Date(to) };
  return new ExportFile(path, file, { ...saved, ...range, selection });
}

/** @throws CliError if the text is not a progress as `save` writes it */
function parseProgress(path: string, text: string): SavedProgress {
  let saved: Partial<SavedProgress> | null;
  try {
    saved = JSON.parse(text) as Partial<SavedProgress> | null;
  } catch {
    saved = null;
  }
  const isTime = (value: unknown): boolean => typeof value === "string" && !Number.isNaN(Date.parse(value));
  const isComplete =
    typeof saved?.what === "string" &&
    (saved.from === undefined || isTime(saved.from)) &&
    isTime(saved.to) &&
    typeof saved.pageToken === "string" &&
    Number.isSafeInteger(saved.rows) &&
    Number.isSafeInteger(saved.bytes) &&
    (saved.bytes ?? -1) >= 0;
  if (!isComplete) throw damaged(path, `${progressOf(path)} is not the progress of an export`);
  return saved as SavedProgress;
}

function damaged(path: string, fault: string): CliError {
  return usageError(`--resume: ${fault}`, `Delete ${path} and ${progressOf(path)}, and export again.`);
}

const progressOf = (path: string): string => `${path}.progress`;

/** Replaces the saved progress atomically: on a full disk the previous one stays, from which the export can be resumed. */
async function save(path: string, progress: Progress): Promise<void> {
  const next = `${progressOf(path)}.new`;
  try {
    const { selection: what, ...rest } = progress;
    await writeFile(next, JSON.stringify({ what, ...rest }), { mode: 0o600 });
    await rename(next, progressOf(path));
  } catch (error) {
    await rm(next, { force: true });
    throw error;
  }
}

/** Writes all bytes. A single `write` can write fewer, e.g. when the disk fills up. */
async function writeAll(file: FileHandle, bytes: Buffer, position: number): Promise<void> {
  for (let written = 0; written < bytes.length;) {
    const { bytesWritten } = await file.write(bytes, written, bytes.length - written, position + written);
    written += bytesWritten;
  }
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

function unwritable(path: string, error: unknown): CliError {
  const why = error instanceof Error ? error.message : String(error);
  return new CliError(ExitCode.failed, "failed_precondition", "FILE_UNWRITABLE", `cannot write ${path}: ${why}`);
}
