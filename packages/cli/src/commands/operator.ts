import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { Command } from "commander";
import { idArgument, nameArgument, reasonArgument, scopesArgument } from "../arguments.ts";
import type { Context } from "../context.ts";
import { CliError, ExitCode } from "../errors.ts";
import { confirm } from "../input.ts";
import { block } from "../output/table.ts";
import { naming } from "../resolve-name.ts";
import { operatorCredential } from "../session.ts";
import { fromProtoIdentity } from "../views/identity.ts";
import { pagesOf, showPages } from "../views/list.ts";
import { fromProtoOperator, OPERATOR_COLUMNS, operatorFields } from "../views/operator.ts";
import { requirePresent } from "../views/values.ts";
import { expiryArgument } from "../written-time.ts";
import { withExamples } from "./examples.ts";
import { addGraceOptions, type GraceOptions, rotateCredential } from "./rotation.ts";

interface MintOptions {
  readonly name: string;
  readonly scope: readonly string[];
  readonly expiresAt?: Date;
  readonly account?: string;
}

interface RevokeOptions {
  readonly reason?: string;
  readonly yes?: boolean;
}

export function addOperatorCommands(operator: Command, context: Context): void {
  withExamples(operator, 'cloud operator mint --name ci --scope "namespaces:* keys:write"', "cloud operator list");

  addMint(operator, context);

  const list = operator
    .command("list")
    .description("List operator credentials, oldest first")
    .addHelpText("after", "\nShows those that the credential in use can see, revoked and expired ones included.")
    .action(() => listOperators(context));
  withExamples(list, "cloud operator list", "cloud operator list --json");

  const get = operator
    .command("get")
    .description("Show an operator credential, without its token")
    .argument("<id>", "Id of the credential (op_…)", idArgument)
    .action((id: string) => getOperator(context, id));
  withExamples(get, "cloud operator get op_01jxyz…");

  const rotate = operator
    .command("rotate")
    .description("Replace the token of an operator credential; shown once")
    .argument("<id>", "Id of the credential (op_…)", idArgument)
    .action((id: string, options: GraceOptions) => rotateOperator(context, id, options));
  addGraceOptions(rotate).addHelpText(
    "after",
    "\nA credential rotates itself and those below it. The old token may only read until its grace ends. If it is saved on this\n" +
      "machine, the new token replaces it. Sessions that it opened in the console stay valid until they expire or are\n" +
      "revoked (`routeplane cloud sessions revoke`); --leaked ends them.",
  );
  withExamples(rotate, "cloud operator rotate op_01jxyz…", "cloud operator rotate op_01jxyz… --leaked");

  const revoke = operator
    .command("revoke")
    .description("Revoke an operator credential and every one below it")
    .argument("<id>", "Id of the credential (op_…)", idArgument)
    .option("--reason <text>", "Reason, kept with the credential; up to 200 characters", reasonArgument)
    .option("-y, --yes", "Skip the confirmation")
    .addHelpText(
      "after",
      "\nIt takes effect at once and cannot be undone. A credential revokes those below it,\nand not itself: rotate it instead.",
    )
    .action((id: string, options: RevokeOptions) => revokeOperator(context, id, options));
  withExamples(revoke, "cloud operator revoke op_01jxyz…", 'cloud operator revoke op_01jxyz… --reason "left" --yes');
}

function addMint(operator: Command, context: Context): void {
  const mint = operator
    .command("mint")
    .description("Mint an operator credential; its token is shown once")
    .requiredOption("--name <name>", "Name for people; need not be unique", nameArgument)
    .requiredOption("--scope <scopes>", "Scopes, at most yours, separated by blanks or commas", scopesArgument)
    .option("--expires-at <time>", "Expiry, e.g. 30d, 2027-01-01; not after the parent's", expiryArgument)
    .option("--account <name|id>", "Account that it is limited to, permanently", idArgument)
    .action((options: MintOptions) => mintOperator(context, options));
  mint.addHelpText(
    "after",
    "\nScopes: accounts:read accounts:write audit:read keys:write namespaces:read namespaces:write operators:read\n" +
      "operators:write usage:read usage:write, or resource:*. None of them invokes inference.",
  );
  withExamples(
    mint,
    'cloud operator mint --name ci --scope "namespaces:* keys:write"',
    'cloud operator mint --name auditor --scope "audit:read" --expires-at 2027-01-01T00:00:00Z',
    'cloud operator mint --name team-a --account team-a --scope "namespaces:* keys:* operators:*"',
  );
}

async function mintOperator(context: Context, { name, scope, expiresAt, account }: MintOptions): Promise<void> {
  const { operators } = await context.connect(await operatorCredential(context.settings));
  const minted = operators.mintOperator({
    name,
    scopes: [...scope],
    account: account ?? "",
    ...(expiresAt === undefined ? {} : { expiresAt: timestampFromDate(expiresAt) }),
  });
  const { operator, token } = await (account === undefined ? minted : naming("account", account, minted));
  const view = fromProtoOperator(requirePresent(operator));
  const shown = operatorFields(view).filter(([field]) =>
    ["id", "name", "scopes", "account", "expires"].includes(field),
  );
  context.output.data({ ...view, token }, () => block([...shown, ["token", token]]));
  context.output.note("The token is shown once and not stored: save it now.");
}

async function listOperators(context: Context): Promise<void> {
  const { operators } = await context.connect(await operatorCredential(context.settings));
  const pages = pagesOf(async (page) => {
    const { operators: rows, nextPageToken } = await operators.listOperators(page);
    return { rows, nextPageToken };
  }, fromProtoOperator);
  await showPages(context, pages, OPERATOR_COLUMNS, "There are no operator credentials.");
}

async function getOperator(context: Context, id: string): Promise<void> {
  const { operators } = await context.connect(await operatorCredential(context.settings));
  const view = fromProtoOperator(requirePresent((await operators.getOperator({ id })).operator));
  context.output.data(view, () => block(operatorFields(view)));
}

async function rotateOperator(context: Context, id: string, options: GraceOptions): Promise<void> {
  const credential = await operatorCredential(context.settings);
  const { identity, operators } = await context.connect(credential);
  await rotateCredential(context, credential, options, {
    isInUse: fromProtoIdentity(await identity.whoAmI({})).operator?.id === id,
    prefix: async () => (await operators.getOperator({ id })).operator?.prefix,
    async rotate(grace) {
      const { operator, token, graceEndsAt } = await operators.rotateOperator({ id, ...grace });
      const view = fromProtoOperator(requirePresent(operator));
      return { view, fields: operatorFields(view), token, graceEndsAt };
    },
    allowedDuringGrace: "read",
    opensSessions: true,
  });
}

async function revokeOperator(context: Context, id: string, { reason, yes = false }: RevokeOptions): Promise<void> {
  const { operators } = await context.connect(await operatorCredential(context.settings));
  if (!yes && !(await confirm(context, `Revoke ${id} and every operator credential below it, for good?`))) {
    throw new CliError(ExitCode.failed, "aborted", "NOT_CONFIRMED", "nothing was revoked");
  }
  const { operator } = await operators.revokeOperator({ id, reason: reason ?? "" });
  const view = fromProtoOperator(requirePresent(operator));
  context.output.data(view, () => block(operatorFields(view)));
  context.output.note("Revoked, with every credential below it.");
}
