import { basename } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { timestampDate, timestampFromDate } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import type { Key } from "@routeplane/contracts/auth";
import { permits } from "@routeplane/credentials";
import { nameFault } from "@routeplane/domain";
import type { Command } from "commander";
import type { NodeClient } from "../../client.ts";
import type { Context } from "../../context.ts";
import { usageError } from "../../errors.ts";
import { formatUsd } from "../../output/money.ts";
import { formatTime } from "../../output/time.ts";
import { loginCredential } from "../../session.ts";
import { requirePresent } from "../../views/values.ts";
import { withExamples } from "../examples.ts";
import { addLimitOptions, type LimitOptions, toProtoExpiry, toProtoLimits } from "../keys/limit-options.ts";
import { commandEnvironment } from "./client-environment.ts";
import { takeSignals } from "./command-process.ts";
import { readTreeCost, type TreeCost } from "./tree-cost.ts";

/** Scopes of the command's key, as far as the key in use holds them: to call models, and to run further commands under keys below it. */
const SCOPES = ["inference:invoke", "keys:read", "keys:write", "policy:read", "usage:read"];
/** Default expiry of the command's key: if this process is killed, the key must not stay valid. */
const DEFAULT_EXPIRY_MS = 8 * 3_600_000;
const MAX_NAME_CHARS = 80;
const REVOKE_ATTEMPTS = 3;
const RETRY_MS = 500;

export function defineRun(run: Command, context: Context): void {
  run.argument("[command...]", "Command and its arguments, after --");
  addLimitOptions(run)
    .addHelpText(
      "after",
      "\nMints a sub-key of the key in use and gives it to the command as OPENAI_API_KEY, ANTHROPIC_API_KEY and\n" +
        "ROUTEPLANE_API_KEY, with the addresses as OPENAI_BASE_URL, ANTHROPIC_BASE_URL and ROUTEPLANE_URL. When the command ends,\n" +
        "the key and all below it are revoked, and what they cost is printed to stderr. Without --expires-in it expires after 8h.\n" +
        "\nExit code: that of the command; 128 + n if signal n killed it, 127 if it is not found, 126 if it cannot be executed.",
    )
    .action((words: readonly string[], options: LimitOptions) => {
      requireBehindDashes(words, context.argv);
      return runCommand(context, words, options);
    });
  withExamples(run, "run --limit-usd 5 --expires-in 2h -- my-agent --task review", "run --models 'gpt-*' -- npm test");
}

/**
 * Requires that the command is after `--`: otherwise its own options would be parsed as options of `run`, e.g. `--limit-usd`.
 *
 * @throws CliError usage
 */
function requireBehindDashes(words: readonly string[], argv: readonly string[]): void {
  const behind = argv.includes("--") ? argv.length - argv.indexOf("--") - 1 : 0;
  if (words.length <= behind) return;
  throw usageError("the command is not after --", "Put -- before it, e.g. `routeplane run --limit-usd 5 -- my-agent`.");
}

async function runCommand(context: Context, words: readonly string[], options: LimitOptions): Promise<void> {
  const [command, ...args] = words;
  if (command === undefined) {
    throw usageError("a command is missing", "Give it after --, e.g. `routeplane run --limit-usd 5 -- my-agent`.");
  }
  const limits = toProtoLimits(options);
  // One of them may be redirected, e.g. stdin to a prompt: the terminal still sends Ctrl-C to the command too.
  const isAtTerminal = [context.stdin, context.stdout, context.stderr].some(({ isTTY }) => isTTY === true);
  const commandProcess = takeSignals(isAtTerminal);
  try {
    const url = await context.url();
    const client = await context.connect(await loginCredential(context.settings));
    const minted = await mintCommandKey(client, command, { ...options, limits });
    try {
      const environment = commandEnvironment(context.settings.environment, url, minted.token);
      context.setExitCode(await commandProcess.run(command, args, environment));
    } finally {
      await endCommandKey(context, client, minted.key, commandProcess.impatience);
    }
  } finally {
    commandProcess.release();
  }
}

async function mintCommandKey(
  { identity, keys }: NodeClient,
  command: string,
  { limits, ...options }: LimitOptions & { readonly limits: ReturnType<typeof toProtoLimits> },
): Promise<{ readonly key: Key; readonly token: string }> {
  const own = (await identity.whoAmI({})).identity;
  const held = own.case === "key" ? own.value : undefined;
  const latest = held?.expiresAt === undefined ? Infinity : timestampDate(held.expiresAt).getTime();
  const fallback = timestampFromDate(new Date(Math.min(Date.now() + DEFAULT_EXPIRY_MS, latest)));
  const { key, token } = await keys.mintKey({
    name: nameOf(command),
    scopes: SCOPES.filter((scope) => permits(held?.scopes ?? [], scope)),
    expiresAt: toProtoExpiry(options, Date.now()) ?? fallback,
    ...(limits !== undefined && { limits }),
  });
  return { key: requirePresent(key), token };
}

function nameOf(command: string): string {
  const name = `run ${basename(command).slice(0, MAX_NAME_CHARS)}`;
  return nameFault(name) === undefined ? name : "run";
}

/**
 * Revokes the command's key and prints what it cost. Never throws, because the exit code is that of the command.
 *
 * @param impatience ends the wait for the cost, and further attempts to revoke the key
 */
async function endCommandKey(context: Context, client: NodeClient, key: Key, impatience: AbortSignal): Promise<void> {
  const isRevoked = await revoke(client, key.id, impatience);
  const cost = await readCost(client, key, impatience);
  const { output, stderr } = context;
  if (output.json) {
    const summary = {
      key_id: key.id,
      revoked: isRevoked,
      request_count: cost?.requestCount ?? null,
      cost_micro_usd: cost?.costMicroUsd ?? null,
      cost_complete: cost?.isComplete ?? false,
    };
    stderr.write(`${JSON.stringify({ run: summary })}\n`);
    return;
  }
  output.note(`${key.id} ${costText(cost)}`);
  if (isRevoked) return;
  const expiry =
    key.expiresAt === undefined ? "" : `; it expires at ${formatTime(timestampDate(key.expiresAt).toISOString())}`;
  output.note(`The key could not be revoked${expiry}. Revoke it with \`routeplane cloud keys revoke ${key.id}\`.`);
}

async function revoke({ keys }: NodeClient, id: string, impatience: AbortSignal): Promise<boolean> {
  for (let attempt = 1; ; attempt++) {
    try {
      await keys.revokeKey({ id, reason: "the command has ended" });
      return true;
    } catch (error) {
      const isFinal = ConnectError.from(error).code === Code.Unauthenticated;
      // Unauthenticated: a key above was revoked, and this key with it.
      if (isFinal || attempt === REVOKE_ATTEMPTS || impatience.aborted) return isFinal;
      await delay(RETRY_MS);
    }
  }
}

/** Cost of the key and all below it; undefined if the credential may not read it, the node does not answer, or the user interrupts. */
async function readCost(
  client: NodeClient,
  { id, createdAt }: Key,
  impatience: AbortSignal,
): Promise<TreeCost | undefined> {
  try {
    return createdAt && (await readTreeCost(client, id, createdAt, impatience));
  } catch {
    return undefined;
  }
}

function costText(cost: TreeCost | undefined): string {
  if (cost === undefined) {
    return "has ended; its cost could not be read: that needs the scopes usage:read and keys:read, and a node that answers";
  }
  const { requestCount, costMicroUsd, isComplete } = cost;
  const requests = requestCount === 1 ? "1 request" : `${requestCount} requests`;
  return `cost ${isComplete ? "" : "at least "}${formatUsd(costMicroUsd)} in ${requests}`;
}
