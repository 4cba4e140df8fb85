import type { Command } from "commander";
import { sessionArgument } from "../arguments.ts";
import type { NodeClient } from "../client.ts";
import type { Context } from "../context.ts";
import { CliError, ExitCode } from "../errors.ts";
import { confirm } from "../input.ts";
import { block } from "../output/table.ts";
import { loginCredential, operatorCredential } from "../session.ts";
import { pagesOf, showPages } from "../views/list.ts";
import { fromProtoSession, SESSION_COLUMNS, sessionFields } from "../views/session.ts";
import { requirePresent } from "../views/values.ts";
import { withExamples } from "./examples.ts";

interface NodeOptions {
  readonly node?: boolean;
}

interface ListOptions extends NodeOptions {
  readonly ended?: boolean;
}

interface RevokeOptions extends NodeOptions {
  readonly yes?: boolean;
}

const NODE = "Use the operator credential: the whole node, or its account";

export function addSessionCommands(sessions: Command, context: Context): void {
  sessions.addHelpText(
    "after",
    "\nA session is a person's sign-in at the console. It acts as the key or the operator credential that opened it, for 12 hours,\n" +
      "and cannot call models.",
  );
  withExamples(sessions, "cloud sessions list", "cloud sessions revoke ses_01jxyz…");

  const list = sessions
    .command("list")
    .description("List sessions that have not ended, oldest first")
    .option("--ended", "Include sessions that have ended or expired")
    .option("--node", NODE)
    .addHelpText("after", "\nA root key sees all of its namespace, a sub-key its own and those of the keys below it.")
    .action((options: ListOptions) => listSessions(context, options));
  withExamples(list, "cloud sessions list", "cloud sessions list --node --ended --json");

  const revoke = sessions
    .command("revoke")
    .description("Revoke a session")
    .argument("<id>", "Id of the session (ses_…)", sessionArgument)
    .option("--node", NODE)
    .option("-y, --yes", "Skip the confirmation")
    .addHelpText("after", "\nIt takes effect at once and cannot be undone: the person signs in again.")
    .action((id: string, options: RevokeOptions) => revokeSession(context, id, options));
  withExamples(revoke, "cloud sessions revoke ses_01jxyz… --yes");
}

async function connect(context: Context, { node = false }: NodeOptions): Promise<NodeClient> {
  return context.connect(await (node ? operatorCredential : loginCredential)(context.settings));
}

async function listSessions(context: Context, { ended = false, ...options }: ListOptions): Promise<void> {
  const { sessions } = await connect(context, options);
  const pages = pagesOf(async (page) => {
    const { sessions: rows, nextPageToken } = await sessions.listSessions({ ...page, showEnded: ended });
    return { rows, nextPageToken };
  }, fromProtoSession);
  await showPages(
    context,
    pages,
    SESSION_COLUMNS,
    ended ? "There are no sessions." : "Nobody is signed in at the console.",
  );
}

async function revokeSession(context: Context, id: string, { yes = false, ...options }: RevokeOptions): Promise<void> {
  const { sessions } = await connect(context, options);
  if (!yes && !(await confirm(context, `Revoke the session ${id}?`))) {
    throw new CliError(ExitCode.failed, "aborted", "NOT_CONFIRMED", "nothing was revoked");
  }
  const view = fromProtoSession(requirePresent((await sessions.revokeSession({ id })).session));
  context.output.data(view, () => block(sessionFields(view)));
  context.output.note("Revoked.");
}
