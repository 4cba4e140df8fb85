import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { Command } from "commander";
import { idArgument, nameArgument, reasonArgument, scopesArgument } from "../../arguments.ts";
import type { NodeClient } from "../../client.ts";
import type { Context } from "../../context.ts";
import { CliError, ExitCode, usageError } from "../../errors.ts";
import { confirm } from "../../input.ts";
import { block } from "../../output/table.ts";
import { resolveServiceCredential } from "../../resolve-name.ts";
import { operatorCredential } from "../../session.ts";
import { expiryArgument } from "../../written-time.ts";
import {
  fromProtoServiceCredential,
  SERVICE_CREDENTIAL_COLUMNS,
  serviceCredentialFields,
} from "../../views/admin/service-credential.ts";
import { pagesOf, showPages } from "../../views/list.ts";
import { requirePresent } from "../../views/values.ts";
import { withExamples } from "../examples.ts";
import { addGraceOptions, type GraceOptions, rotateCredential } from "../rotation.ts";

interface MintOptions {
  readonly name: string;
  readonly scope: readonly string[];
  readonly namespace?: readonly string[];
  readonly allNamespaces?: boolean;
  readonly expiresAt?: Date;
}

interface RevokeOptions {
  readonly reason?: string;
  readonly yes?: boolean;
}

const ID = "Name or id (svc_…) of the service credential";

export function addServiceCredentialCommands(admin: Command, context: Context): void {
  const services = admin
    .command("service-credentials")
    .description("Manage credentials of services that verify and admit")
    .addHelpText(
      "after",
      "\nA service of your own verifies keys (keys:verify) and admits requests (policy:admit) with such a credential, at the\n" +
        "addresses of the node's services. It is bound to namespaces and can do nothing else.",
    );
  withExamples(
    services,
    'admin service-credentials mint --name billing --scope "keys:verify" --namespace production',
    "admin service-credentials list",
  );

  addMint(services, context);

  const list = services
    .command("list")
    .description("List service credentials, oldest first")
    .addHelpText("after", "\nShows revoked and expired ones too.")
    .action(() => listServiceCredentials(context));
  withExamples(list, "admin service-credentials list", "admin service-credentials list --json");

  const get = services
    .command("get")
    .description("Show a service credential, without its token")
    .argument("<name|id>", ID, idArgument)
    .action((nameOrId: string) => getServiceCredential(context, nameOrId));
  withExamples(get, "admin service-credentials get billing");

  const rotate = services
    .command("rotate")
    .description("Replace the token of a service credential; shown once")
    .argument("<name|id>", ID, idArgument)
    .action((nameOrId: string, options: GraceOptions) => rotateServiceCredential(context, nameOrId, options));
  addGraceOptions(rotate).addHelpText("after", "\nThe old token does the same as before until its grace ends.");
  withExamples(rotate, "admin service-credentials rotate billing", "admin service-credentials rotate billing --leaked");

  const revoke = services
    .command("revoke")
    .description("Revoke a service credential")
    .argument("<name|id>", ID, idArgument)
    .option("--reason <text>", "Reason, kept with the credential; up to 200 characters", reasonArgument)
    .option("-y, --yes", "Skip the confirmation")
    .addHelpText("after", "\nIt takes effect at once and cannot be undone.")
    .action((nameOrId: string, options: RevokeOptions) => revokeServiceCredential(context, nameOrId, options));
  withExamples(revoke, "admin service-credentials revoke billing --yes");
}

function addMint(services: Command, context: Context): void {
  const mint = services
    .command("mint")
    .description("Mint a service credential; its token is shown once")
    .requiredOption("--name <name>", "Name, unique among active ones", nameArgument)
    .requiredOption("--scope <scopes>", "Scopes: keys:verify, policy:admit", scopesArgument)
    .option("-n, --namespace <name|id>", "Namespace that it is bound to; repeatable", namespacesArgument)
    .option("--all-namespaces", "Bind it to all namespaces, future ones included")
    .option("--expires-at <time>", "Expiry, e.g. 30d, 2027-01-01 (default: never)", expiryArgument)
    .action((options: MintOptions) => mintServiceCredential(context, options));
  withExamples(
    mint,
    'admin service-credentials mint --name billing --scope "keys:verify policy:admit" --namespace production',
    'admin service-credentials mint --name edge --scope "keys:verify" --all-namespaces',
  );
}

/** Parses the name or id of a namespace. The option is repeatable: each use adds to `previous`. */
function namespacesArgument(text: string, previous: readonly string[] = []): readonly string[] {
  return [...previous, idArgument(text)];
}

async function mintServiceCredential(context: Context, options: MintOptions): Promise<void> {
  const { name, scope, namespace = [], allNamespaces = false, expiresAt } = options;
  if (allNamespaces === namespace.length > 0) throw usageError("give either --namespace or --all-namespaces");
  const { services } = await context.connect(await operatorCredential(context.settings));
  const { serviceCredential, token } = await services.mintServiceCredential({
    name,
    scopes: [...scope],
    namespaces: [...namespace],
    allNamespaces,
    ...(expiresAt === undefined ? {} : { expiresAt: timestampFromDate(expiresAt) }),
  });
  const view = fromProtoServiceCredential(requirePresent(serviceCredential));
  const shown = serviceCredentialFields(view).filter(([field]) =>
    ["id", "name", "scopes", "namespaces", "expires"].includes(field),
  );
  context.output.data({ ...view, token }, () => block([...shown, ["token", token]]));
  context.output.note("The token is shown once and not stored: save it now.");
}

async function listServiceCredentials(context: Context): Promise<void> {
  const { services } = await context.connect(await operatorCredential(context.settings));
  const pages = pagesOf(async (page) => {
    const { serviceCredentials: rows, nextPageToken } = await services.listServiceCredentials(page);
    return { rows, nextPageToken };
  }, fromProtoServiceCredential);
  await showPages(
    context,
    pages,
    SERVICE_CREDENTIAL_COLUMNS,
    "There are no service credentials.",
    "Mint one: routeplane admin service-credentials mint --help",
  );
}

async function connectAndResolve(context: Context, nameOrId: string): Promise<{ client: NodeClient; id: string }> {
  const client = await context.connect(await operatorCredential(context.settings));
  return { client, id: await resolveServiceCredential(client, nameOrId) };
}

async function getServiceCredential(context: Context, nameOrId: string): Promise<void> {
  const { client, id } = await connectAndResolve(context, nameOrId);
  const { serviceCredential } = await client.services.getServiceCredential({ id });
  const view = fromProtoServiceCredential(requirePresent(serviceCredential));
  context.output.data(view, () => block(serviceCredentialFields(view)));
}

async function rotateServiceCredential(context: Context, nameOrId: string, options: GraceOptions): Promise<void> {
  const { client, id } = await connectAndResolve(context, nameOrId);
  await rotateCredential(context, await operatorCredential(context.settings), options, {
    isInUse: false,
    prefix: async () => (await client.services.getServiceCredential({ id })).serviceCredential?.prefix,
    async rotate(grace) {
      const { serviceCredential, token, graceEndsAt } = await client.services.rotateServiceCredential({ id, ...grace });
      const view = fromProtoServiceCredential(requirePresent(serviceCredential));
      return { view, fields: serviceCredentialFields(view), token, graceEndsAt };
    },
    allowedDuringGrace: "do what the new one does",
    opensSessions: false,
  });
}

async function revokeServiceCredential(
  context: Context,
  nameOrId: string,
  { reason, yes = false }: RevokeOptions,
): Promise<void> {
  const { client, id } = await connectAndResolve(context, nameOrId);
  if (!yes && !(await confirm(context, `Revoke the service credential ${nameOrId}, for good?`))) {
    throw new CliError(ExitCode.failed, "aborted", "NOT_CONFIRMED", "nothing was revoked");
  }
  const { serviceCredential } = await client.services.revokeServiceCredential({ id, reason: reason ?? "" });
  const view = fromProtoServiceCredential(requirePresent(serviceCredential));
  context.output.data(view, () => block(serviceCredentialFields(view)));
  context.output.note("Revoked.");
}
