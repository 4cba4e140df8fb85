import { link, open, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { randomUUID } from "node:crypto";

/**
 * Files in the home that the node and the CLI share, one value each: `api-key` is the saved login, `operator-key` the operator
 * credential, `url` the address of the node (e.g. `http://127.0.0.1:8080`).
 */
export type SavedFile = "api-key" | "operator-key" | "url";

const MODES: Record<SavedFile, number> = { "api-key": 0o600, "operator-key": 0o600, url: 0o644 };

/** Reads the value; undefined if there is none. */
export async function readSaved(home: string, file: SavedFile): Promise<string | undefined> {
  const text = await readIfExists(join(home, file));
  return text?.trim() || undefined;
}

/** Replaces the value atomically. Secrets are readable by their owner only. */
export async function writeSaved(home: string, file: SavedFile, value: string): Promise<void> {
  await writeAtomically(join(home, file), `${value}\n`, MODES[file]);
}

/** Removes the value, if there is one. */
export async function removeSaved(home: string, file: SavedFile): Promise<void> {
  await rm(join(home, file), { force: true });
}

/** Reads a file; undefined if it does not exist. */
export async function readIfExists(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw error;
  }
}

/** Replaces a file and syncs it: readers, and a crash, see the old text or the new one. */
export async function writeAtomically(path: string, text: string, mode: number): Promise<void> {
  await withDraft(path, text, mode, (draft) => rename(draft, path));
}

/** Creates a file and syncs it, unless it exists. Returns its text; of several writers at the same time, that of the first. */
export async function createIfMissing(path: string, text: string, mode: number): Promise<string> {
  return withDraft(path, text, mode, async (draft) => {
    try {
      await link(draft, path);
    } catch (error) {
      if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) throw error;
    }
    await rm(draft);
    return readFile(path, "utf8");
  });
}

/** Writes a synced draft next to a file, and removes it if `publish` fails. */
async function withDraft<T>(
  path: string,
  text: string,
  mode: number,
  publish: (draft: string) => Promise<T>,
): Promise<T> {
  const draft = `${path}.${randomUUID()}`;
  try {
    const file = await open(draft, "wx", mode);
    try {
      await file.writeFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
    return await publish(draft);
  } catch (error) {
    await rm(draft, { force: true });
    throw error;
  }
}
