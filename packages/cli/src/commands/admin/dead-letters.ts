import { type DeadLetter, DeadLetterState } from "@routeplane/contracts/usage";
import { type Command, InvalidArgumentError } from "commander";
import { idArgument, rowsArgument } from "../../arguments.ts";
import type { NodeClient } from "../../client.ts";
import type { Context } from "../../context.ts";
import { CliError, ExitCode } from "../../errors.ts";
import { confirm } from "../../input.ts";
import { printableJson } from "../../output/printable.ts";
import { block } from "../../output/table.ts";
import { operatorCredential } from "../../session.ts";
import {
  DEAD_LETTER_COLUMNS,
  deadLetterFields,
  fromProtoDeadLetter,
  fromProtoDeadLetterInFull,
} from "../../views/admin/dead-letter.ts";
import { pagesOf, showPages } from "../../views/list.ts";
import { requirePresent } from "../../views/values.ts";
import { withExamples } from "../examples.ts";

interface ListOptions {
  readonly state?: DeadLetterState;
  readonly limit: number;
  readonly pageToken?: string;
}

export function addDeadLetterCommands(admin: Command, context: Context): void {
  const letters = admin.command("dead-letters").description("Manage usage events that could not be recorded");
  withExamples(letters, "admin dead-letters list", "admin dead-letters replay dl_01jxyz…");

  const list = letters
    .command("list")
    .description("List dead letters, newest first, page by page")
    .option("--state <state>", "State: held, replaying, replayed or discarded", stateArgument)
    .option("--limit <number>", "Rows to list", rowsArgument, 25)
    .option("--page-token <token>", "Token of the page, from next_page_token", idArgument)
    .action((options: ListOptions) => listDeadLetters(context, options));
  withExamples(list, "admin dead-letters list --state held");

  const get = letters
    .command("get")
    .alias("show")
    .description("Show a dead letter with its content")
    .argument("<id>", "Id of the dead letter (dl_…)", idArgument)
    .action((id: string) => showDeadLetter(context, id));
  withExamples(get, "admin dead-letters get dl_01jxyz…");

  const replay = letters
    .command("replay")
    .description("Replay a dead letter: record it, within seconds")
    .argument("<id>", "Id of the dead letter (dl_…)", idArgument)
    .addHelpText("after", "\nIf it fails again, it is held again, with the new reason.")
    .action((id: string) => changeDeadLetter(context, (client) => client.usageAdmin.replayDeadLetter({ id })));
  withExamples(replay, "admin dead-letters replay dl_01jxyz…");

  const discard = letters
    .command("discard")
    .description("Discard a dead letter; it is never recorded")
    .argument("<id>", "Id of the dead letter (dl_…)", idArgument)
    .option("-y, --yes", "Skip the confirmation")
    .action((id: string, options: { yes?: boolean }) => discardDeadLetter(context, id, options));
  withExamples(discard, "admin dead-letters discard dl_01jxyz… --yes");
}

const STATES: Readonly<Record<string, DeadLetterState>> = {
  held: DeadLetterState.HELD,
  replaying: DeadLetterState.REPLAYING,
  replayed: DeadLetterState.REPLAYED,
  discarded: DeadLetterState.DISCARDED,
};

function stateArgument(text: string): DeadLetterState {
  const state = Object.hasOwn(STATES, text) ? STATES[text] : undefined;
  if (state !== undefined) return state;
  throw new InvalidArgumentError(`It must be one of ${Object.keys(STATES).join(", ")}.`);
}

async function listDeadLetters(context: Context, { state, limit, pageToken }: ListOptions): Promise<void> {
  const { usageAdmin } = await context.connect(await operatorCredential(context.settings));
  const read = async (page: { pageSize: number; pageToken: string }) => {
    const request = { ...page, state: state ?? DeadLetterState.UNSPECIFIED };
    const { deadLetters: rows, nextPageToken } = await usageAdmin.listDeadLetters(request);
    return { rows, nextPageToken };
  };
  const pages = pagesOf(read, fromProtoDeadLetter, { limit, ...(pageToken !== undefined && { pageToken }) });
  const nextPageToken = await showPages(context, pages, DEAD_LETTER_COLUMNS, "No dead letters match.");
  if (nextPageToken !== "") context.output.note(`For older dead letters, add --page-token ${nextPageToken}`);
}

async function showDeadLetter(context: Context, id: string): Promise<void> {
  const { usageAdmin } = await context.connect(await operatorCredential(context.settings));
  const view = fromProtoDeadLetterInFull(requirePresent((await usageAdmin.getDeadLetter({ id })).deadLetter));
  const content = view.content === null ? view.payload_base64 : printableJson(view.content);
  context.output.data(view, () => `${block(deadLetterFields(view))}\n\n${content}`);
}

async function changeDeadLetter(
  context: Context,
  change: (client: NodeClient) => Promise<{ readonly deadLetter?: DeadLetter | undefined }>,
): Promise<void> {
  const client = await context.connect(await operatorCredential(context.settings));
  const view = fromProtoDeadLetter(requirePresent((await change(client)).deadLetter));
  context.output.data(view, () => block(deadLetterFields(view)));
}

async function discardDeadLetter(context: Context, id: string, { yes = false }: { yes?: boolean }): Promise<void> {
  if (!yes && !(await confirm(context, `Discard ${id}? Its content is never recorded.`))) {
    throw new CliError(ExitCode.failed, "aborted", "NOT_CONFIRMED", "nothing was discarded");
  }
  await changeDeadLetter(context, (client) => client.usageAdmin.discardDeadLetter({ id }));
}
