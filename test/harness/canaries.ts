import { readdir, readFile, stat } from "node:fs/promises";
import { join, relative } from "node:path";
import pg from "pg";
import { processesOf } from "./processes.ts";

/** A text that must be nowhere but where it belongs, in every form in which it could be written down. */
export interface Canary {
  readonly name: string;
  readonly forms: readonly Buffer[];
}

/** A secret as it stands, as base64 (whole) and, if it is hex, as the bytes that it means. */
export function canary(name: string, secret: string): Canary {
  const text = Buffer.from(secret);
  const forms = [text, Buffer.from(text.toString("base64")), Buffer.from(encodeURIComponent(secret))];
  if (/^([0-9a-f]{2}){16,}$/.test(secret)) forms.push(Buffer.from(secret, "hex"));
  return { name, forms };
}

/** A token, and its secret by itself: the rest of it may be known. */
export function tokenCanaries(name: string, token: string): readonly Canary[] {
  const secret = token.split("_").at(token.startsWith("rps_") ? 1 : 3);
  if (secret === undefined || secret.length < 40) throw new Error(`${name} is no token`);
  return [canary(`${name}, whole`, token), canary(`${name}, its secret`, secret)];
}

/** What was found, as `<place>: <name>`. */
export function found(place: string, text: Buffer | string, canaries: readonly Canary[]): readonly string[] {
  const bytes = Buffer.isBuffer(text) ? text : Buffer.from(text);
  return canaries
    .filter(({ forms }) => forms.some((form) => bytes.includes(form)))
    .map(({ name }) => `${place}: ${name}`);
}

/** Through every file of a folder, byte for byte. @returns what was found, and how much was read. */
export async function searchFolder(
  folder: string,
  canaries: readonly Canary[],
  except: ReadonlySet<string> = new Set(),
) {
  const hits: string[] = [];
  let bytes = 0;
  for (const entry of await readdir(folder, { recursive: true, encoding: "utf8" })) {
    const path = join(folder, entry);
    // A file of the database that goes away in between held nothing that another does not.
    if (except.has(entry) || !(await stat(path).catch(() => undefined))?.isFile()) continue;
    const content = await readFile(path).catch(() => Buffer.alloc(0));
    bytes += content.length;
    hits.push(...found(relative(folder, path), content, canaries));
  }
  return { hits, bytes };
}

/** Through every row of every table as text, past row-level security. */
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
      for (const { text } of content.rows) hits.push(...found(name, text, canaries));
    }
    // So that what is only in memory is in the files too.
    await client.query("checkpoint");
    return { hits, rows };
  } finally {
    await client.end();
  }
}

/** Through the command lines of every process of the node. */
export async function searchCommandLines(home: string, canaries: readonly Canary[]) {
  const pids = await processesOf(home);
  const lines = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/cmdline`).catch(() => Buffer.alloc(0))));
  return { hits: lines.flatMap((line) => found("a command line", line, canaries)), processes: pids.length };
}
