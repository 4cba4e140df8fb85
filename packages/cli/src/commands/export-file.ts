import { type FileHandle, open, readFile, rm, stat, writeFile } from "node:fs/promises";
import { CliError, ExitCode, usageError } from "../errors.ts";

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

  /** Resolves once the page is on the disk and would not be asked for again. */
  async add(text: string, rows: number, nextPageToken: string): Promise<void> {
    const bytes = Buffer.from(text);
    const before = this.#progress;
    await this.#file.write(bytes, 0, bytes.length, before.bytes);
    await this.#file.sync();
    const { what, to } = before;
    this.#progress = {
      what,
      to,
      pageToken: nextPageToken,
      rows: before.rows + rows,
      bytes: before.bytes + bytes.length,
    };
    if (nextPageToken !== "") await save(this.#path, this.#progress);
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
  try {
    await writeFile(path, head, { flag: "wx", mode: 0o600 });
  } catch (error) {
    if (await exists(path)) {
      throw usageError(`--output: ${path} exists`, "Say --resume to go on with it, or name another file.");
    }
    throw unwritable(path, error);
  }
  const progress = { what, to, pageToken: "", rows: 0, bytes: Buffer.byteLength(head) };
  await save(path, progress);
  return new ExportFile(path, await open(path, "r+"), progress);
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
  const file = await open(path, "r+");
  await file.truncate(saved.bytes);
  return new ExportFile(path, file, { ...saved, to: new Date(saved.to) });
}

const progressOf = (path: string): string => `${path}.progress`;

function save(path: string, progress: Progress): Promise<void> {
  return writeFile(progressOf(path), JSON.stringify(progress), { mode: 0o600 });
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
