import { readdir, readFile, stat } from "node:fs/promises";
import { join, relative } from "node:path";
import pg from "pg";
import { processesOf } from "./processes.ts";

/** Secret that must not appear outside its own place, in every form in which it could be written. */
export interface Canary {
  readonly name: string;
  readonly forms: readonly Buffer[];
}

/** Creates a canary: the secret as it is, as base64, percent-encoded and, if it is hex, as its bytes. */
export function canary(name: string, secret: string): Canary {
  const text = Buffer.from(secret);
  const forms = [text, Buffer.from(text.toString("base64")), Buffer.from(encodeURIComponent(secret))];
  if (/^([0-9a-f]{2}){16,}$/.test(secret)) forms.push(Buffer.from(secret, "hex"));
  return { name, forms };
}

/** Canaries of a token: the whole of it, and its secret part alone. The rest of a token may be known. */
export function tokenCanaries(name: string, token: string): readonly Canary[] {
  const secret = token.split("_").at(token.startsWith("rps_") ? 1 : 3);
  if (secret === undefined || secret.length < 40) throw new Error(`${name} is no token`);
  return [canary(`${name}, whole`, token), canary(`${name}, its secret`, secret)];
}

/** Canaries that a text contains, as `<place>: <name>`. */
export function canariesIn(place: string, text: Buffer | string, canaries: readonly Canary[]): readonly string[] {
  const bytes = Buffer.isBuffer(text) ? text : Buffer.from(text);
  return canaries
    .filter(({ forms }) => forms.some((form) => bytes.includes(form)))
    .map(({ name }) => `${place}: ${name}`);
}

/** Searches every file of a folder, byte for byte. @returns the hits, and the number of bytes read */
export async function searchFolder(
  folder: string,
  canaries: readonly Canary[],
  except: ReadonlySet<string> = new Set(),
) {
  const hits: string[] = [];
  let bytes = 0;
  for (const entry of await readdir(folder, { recursive: true, encoding: "utf8" })) {
    const path = join(folder, entry);
    // A database file that is removed meanwhile had no content that is not in other files.
    if (except.has(entry) || !(await stat(path).catch(() => undefined))?.isFile()) continue;
    const content = await readFile(path).catch(() => Buffer.alloc(0));
    bytes += content.length;
    hits.push(...canariesIn(relative(folder, path), content, canaries));
  }
  return { hits, bytes };
}

/** Searches every row of every table as text, as the superuser. */
export async function searchDatabase(url: string, canaries: readonly Canary[]) {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    const hits: string[] = [];
    const tables = await client.query<{ name: string }>(
      `select format('%I.%I', schemaname, tablename) as name from pg_tables
       where schemaname not in ('pg_catalog', 'information_schema')`,
    );
    let rows = 0;
    for (const { name } of tables.rows) {
      const content = await client.query<{ text: string }>(`select t::text as text from ${name} t`);
      rows += content.rows.length;
      for (const { text } of content.rows) hits.push(...canariesIn(name, text, canaries));
    }
    // Writes everything to the files, which are searched too.
    await client.query("checkpoint");
    return { hits, rows };
  } finally {
    await client.end();
  }
}

/** Searches the command lines of all processes of the node. */
export async function searchCommandLines(home: string, canaries: readonly Canary[]) {
  const pids = await processesOf(home);
  const lines = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/cmdline`).catch(() => Buffer.alloc(0))));
  return { hits: lines.flatMap((line) => canariesIn("a command line", line, canaries)), processes: pids.length };
}
