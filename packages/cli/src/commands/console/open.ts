import type { Command } from "commander";
import type { NodeClient } from "../../client.ts";
import type { Context } from "../../context.ts";
import { usageError } from "../../errors.ts";
import { resolveChanged, resolveKey, resolvePolicy } from "../../resolve-name.ts";
import { loginCredential } from "../../session.ts";
import { withExamples } from "../examples.ts";
import { openConsole } from "./sign-in.ts";

/** Pages of the console, by the words that name them. */
const PAGES: Readonly<Record<string, string>> = {
  overview: "/",
  requests: "/requests",
  keys: "/keys",
  policies: "/policies",
  audit: "/audit",
  "quick-start": "/quick-start",
};

/** Pages of single resources, by the prefix of their ids. */
const PAGE_OF_PREFIX: Readonly<Record<string, string>> = {
  key: "/keys",
  pol: "/policies",
  req: "/requests",
  aud: "/audit",
};

const POLICY_KINDS = ["policy", "budget", "guardrail", "rate-limit", "preset"];

interface OpenOptions {
  readonly print?: boolean;
}

export function defineOpen(open: Command, context: Context): void {
  open
    .argument("[words...]", "Page, id, or name of a key or policy")
    .option("--print", "Print the address rather than open it")
    .addHelpText(
      "after",
      `\nPages: ${Object.keys(PAGES).join(" ")}. Ids: key_…, pol_…, req_…, aud_…. A name can be that of a key or a policy; if both have it,\n` +
        `give its kind: key <name>, ${POLICY_KINDS.map((kind) => `${kind} <name>`).join(", ")}.`,
    )
    .action((words: readonly string[], { print = false }: OpenOptions) => openPage(context, words, print));
  withExamples(
    open,
    "cloud open",
    "cloud open requests",
    "cloud open my-agent",
    "cloud open budget daily-cap",
    "cloud open req_01jxyz… --print",
  );
}

async function openPage(context: Context, words: readonly string[], print: boolean): Promise<void> {
  const [first = "overview", second, ...others] = words;
  if (others.length > 0) throw usageError("too many words: give a page, an id, a name, or a kind and a name");
  const path = second === undefined ? await pathOf(context, first) : await pathOfKind(context, first, second);
  await openConsole(context, { path, print });
}

/** Path of the page that a word names. @throws CliError as `resolveChanged` */
async function pathOf(context: Context, word: string): Promise<string> {
  const page = Object.hasOwn(PAGES, word) ? PAGES[word] : undefined;
  if (page !== undefined) return page;
  const path = pathOfId(word);
  if (path !== undefined) return path;
  return requirePath(await resolveChanged(await client(context), word));
}

async function pathOfKind(context: Context, kind: string, nameOrId: string): Promise<string> {
  if (kind === "request") return requirePath(nameOrId);
  if (kind === "key") return requirePath(await resolveKey(await client(context), nameOrId));
  if (POLICY_KINDS.includes(kind)) return requirePath(await resolvePolicy(await client(context), nameOrId));
  throw usageError(`${JSON.stringify(kind)} has no pages: use key, request, ${POLICY_KINDS.join(", ")}`);
}

async function client(context: Context): Promise<NodeClient> {
  return context.connect(await loginCredential(context.settings));
}

/** Path of the page of an id; undefined for any other text. Characters other than letters and digits could lead to another page. */
function pathOfId(id: string): string | undefined {
  const [, prefix = ""] = /^([a-z]+)_[0-9a-z]{1,64}$/.exec(id) ?? [];
  return Object.hasOwn(PAGE_OF_PREFIX, prefix) ? `${PAGE_OF_PREFIX[prefix]}/${id}` : undefined;
}

function requirePath(id: string): string {
  const path = pathOfId(id);
  if (path === undefined) throw usageError(`${JSON.stringify(id)} has no page in the console`);
  return path;
}
