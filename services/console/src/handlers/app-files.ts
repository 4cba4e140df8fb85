import { createHash } from "node:crypto";
import { readdir, readFile, stat } from "node:fs/promises";
import { extname, join } from "node:path";
import { promisify } from "node:util";
import { brotliCompress, constants, gzip } from "node:zlib";

/** File of the built app, in every content coding in which it is served. */
export interface AppFile {
  readonly type: string;
  /** Digest of the content, with which browsers check whether it has changed. */
  readonly digest: string;
  /** True if the name contains a digest of the content, so that the file never changes. */
  readonly isImmutable: boolean;
  readonly codings: ReadonlyMap<Coding, Buffer>;
}

export type Coding = "br" | "gzip" | "identity";

export interface AppFiles {
  /** HTML page, which is the same for every path of the app. */
  readonly index: AppFile;
  /** Finds the file of a URL path, e.g. `/assets/index-B2x9.js`; undefined if there is none. */
  find(path: string): AppFile | undefined;
  /** Memory that the files take. */
  readonly bytes: number;
}

const TYPES: Readonly<Record<string, string>> = {
  ".css": "text/css; charset=utf-8",
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".json": "application/json",
  ".png": "image/png",
  ".svg": "image/svg+xml",
  ".txt": "text/plain; charset=utf-8",
  ".webmanifest": "application/manifest+json",
  ".woff2": "font/woff2",
};
/** Extensions of files that are compressed already. */
const COMPRESSED = new Set([".png", ".woff2"]);
const MIN_COMPRESSED_BYTES = 512;
/** Brotli quality, which takes 30 ms for the whole app. The best quality would take 1.5 s to save another 8 %. */
const BROTLI_QUALITY = 6;
/** Bounds of a build, far above any real one: beyond them, another folder was configured by mistake. */
const MAX_FILES = 1_000;
const MAX_BYTES = 32 << 20;

/**
 * Reads and compresses the built app. Files are served from memory and found by their whole path, so the path of a request never reaches
 * the file system.
 *
 * @throws Error if the folder holds no built app
 */
export async function loadAppFiles(folder: string): Promise<AppFiles> {
  const files = new Map<string, AppFile>();
  let bytes = 0;
  for (const name of await namesIn(folder)) {
    const path = join(folder, name);
    bytes += (await stat(path)).size;
    if (files.size >= MAX_FILES || bytes > MAX_BYTES) throw new Error(`${folder} holds more than a built console has`);
    files.set(`/${name}`, await toAppFile(name, await readFile(path)));
  }
  const index = files.get("/index.html");
  if (index === undefined) {
    throw new Error(`${folder} holds no built console (ROUTEPLANE_CONSOLE_DIR): npm run console:build makes one`);
  }
  files.delete("/index.html");
  let memory = 0;
  for (const { codings } of [index, ...files.values()]) for (const { length } of codings.values()) memory += length;
  return { index, find: (path) => files.get(path), bytes: memory };
}

/** Paths of the regular files in a folder, with slashes and relative to it; none if it does not exist. */
async function namesIn(folder: string): Promise<readonly string[]> {
  const entries = await readdir(folder, { withFileTypes: true, recursive: true }).catch(() => []);
  const files = entries.filter((entry) => entry.isFile() && Object.hasOwn(TYPES, extname(entry.name)));
  return files.map(({ parentPath, name }) => join(parentPath, name).slice(folder.length + 1)).toSorted();
}

async function toAppFile(name: string, content: Buffer): Promise<AppFile> {
  const extension = extname(name);
  const codings = new Map<Coding, Buffer>([["identity", content]]);
  if (content.length >= MIN_COMPRESSED_BYTES && !COMPRESSED.has(extension)) {
    const params = { [constants.BROTLI_PARAM_QUALITY]: BROTLI_QUALITY };
    codings.set("br", await promisify(brotliCompress)(content, { params }));
    codings.set("gzip", await promisify(gzip)(content));
  }
  const digest = createHash("sha256").update(content).digest("base64url").slice(0, 22);
  return { type: TYPES[extension] ?? "", digest, isImmutable: name.startsWith("assets/"), codings };
}
