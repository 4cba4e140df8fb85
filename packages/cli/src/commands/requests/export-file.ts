import { type FileHandle, open, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { CliError, ExitCode, usageError } from "../../errors.ts";

/** How far an export is, beside its file for as long as it is not complete. */
interface Progress {
  /** What is exported: an export goes on only with the same. */
  readonly what: string;
  /** Not given by the caller, it is when the export began: what arrives meanwhile is not in it. */
  readonly to: Date;
  readonly pageToken: string;
  readonly rows: number;
  /** Of the file: what lies behind is of a page that was not finished. */
  readonly bytes: number;
}

/** A file that an export fills page by page, and that a later one goes on with if this is interrupted. */
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
   * Resolves once the page is on the disk and would not be asked for again.
   * @throws CliError if it cannot be written; what was added before can be gone on with
   */
  async add(text: string, rows: number, nextPageToken: string): Promise<void> {
    const bytes = Buffer.from(text);
    const before = this.#progress;
    const { what, to } = before;
    const after = { what, to, pageToken: nextPageToken, rows: before.rows + rows, bytes: before.bytes + bytes.length };
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

  /** To be called when nothing is left to go on with. */
  complete(): Promise<void> {
    return rm(progressOf(this.#path), { force: true });
  }
}

/** @throws CliError if the file is there already, or cannot be written */
export async function beginExport(path: string, what: string, to: Date, head: string): Promise<ExportFile> {
  const file = await open(path, "wx+", 0o600).catch(async (error: unknown) => {
    if (!(await exists(path))) throw unwritable(path, error);
    const resumable = await exists(progressOf(path));
    const hint = resumable ? "Say --resume to go on with it, or name another file." : "Name another file.";
    throw usageError(`--output: ${path} exists`, hint);
  });
  try {
    const bytes = Buffer.from(head);
    await writeAll(file, bytes, 0);
    const progress = { what, to, pageToken: "", rows: 0, bytes: bytes.length };
    await save(path, progress);
    return new ExportFile(path, file, progress);
  } catch (error) {
    await file.close();
    await rm(path, { force: true });
    throw unwritable(path, error);
  }
}

/** @throws CliError if there is nothing to go on with, or it is something else */
export async function resumeExport(path: string, what: string): Promise<ExportFile> {
  const text = await readFile(progressOf(path), "utf8").catch(() => undefined);
  if (text === undefined || !(await exists(path))) {
    throw usageError(`--resume: there is nothing to go on with at ${path}`, "An export that is complete needs none.");
  }
  const saved = JSON.parse(text) as Omit<Progress, "to"> & { readonly to: string };
  if (saved.what !== what) {
    throw usageError("--resume: the export that was interrupted had other options", `It had ${saved.what}.`);
  }
  const file = await open(path, "r+").catch((error: unknown) => {
    throw unwritable(path, error);
  });
  await file.truncate(saved.bytes);
  return new ExportFile(path, file, { ...saved, to: new Date(saved.to) });
}

const progressOf = (path: string): string => `${path}.progress`;

/** In place of the one before, or not at all: on a full disk the one before is what can be gone on with. */
async function save(path: string, progress: Progress): Promise<void> {
  const next = `${progressOf(path)}.new`;
  try {
    await writeFile(next, JSON.stringify(progress), { mode: 0o600 });
    await rename(next, progressOf(path));
  } catch (error) {
    await rm(next, { force: true });
    throw error;
  }
}

/** One `write` may write only a part, as the last one does before the disk is full. */
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
