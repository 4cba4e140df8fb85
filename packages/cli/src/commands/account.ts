import type { Account } from "@routeplane/contracts/auth";
import type { Command } from "commander";
import { idArgument, NAMESPACE_NAME, namespaceNameArgument } from "../arguments.ts";
import type { Context } from "../context.ts";
import { naming } from "../resolve-name.ts";
import { operatorCredential } from "../session.ts";
import { ACCOUNT_COLUMNS, accountLine, fromProtoAccount } from "../views/account.ts";
import { pagesOf, showPages } from "../views/list.ts";
import { requirePresent } from "../views/values.ts";
import { withExamples } from "./examples.ts";

export function addAccountCommands(account: Command, context: Context): void {
  withExamples(account, "cloud account create team-a", "cloud account list");

  const create = account
    .command("create")
    .description("Create an account without namespaces")
    .argument("<name>", NAMESPACE_NAME, namespaceNameArgument)
    .action((name: string) => createAccount(context, name));
  withExamples(create, "cloud account create team-a", "cloud namespace create staging --account team-a");

  const list = account
    .command("list")
    .description("List the accounts of your credential, oldest first")
    .action(() => listAccounts(context));
  withExamples(list, "cloud account list", "cloud account list --json");

  const get = account
    .command("get")
    .description("Show an account")
    .argument("<name|id>", "Name or id (acc_…)", idArgument)
    .action(async (nameOrId: string) => {
      const { accounts } = await context.connect(await operatorCredential(context.settings));
      show(context, (await naming("account", nameOrId, accounts.getAccount({ account: nameOrId }))).account);
    });
  withExamples(get, "cloud account get team-a");

  const rename = account
    .command("rename")
    .description("Rename an account; its id and its namespaces stay")
    .argument("<name|id>", "Name or id (acc_…)", idArgument)
    .argument("<new-name>", NAMESPACE_NAME, namespaceNameArgument)
    .action(async (nameOrId: string, name: string) => {
      const { accounts } = await context.connect(await operatorCredential(context.settings));
      show(context, (await naming("account", nameOrId, accounts.renameAccount({ account: nameOrId, name }))).account);
    });
  withExamples(rename, "cloud account rename team-a team-b");
}

async function createAccount(context: Context, name: string): Promise<void> {
  const { accounts } = await context.connect(await operatorCredential(context.settings));
  show(context, (await accounts.createAccount({ name })).account);
  context.output.note(`Create a namespace in it: routeplane cloud namespace create <name> --account ${name}`);
}

async function listAccounts(context: Context): Promise<void> {
  const { accounts } = await context.connect(await operatorCredential(context.settings));
  const pages = pagesOf(async (page) => {
    const { accounts: rows, nextPageToken } = await accounts.listAccounts(page);
    return { rows, nextPageToken };
  }, fromProtoAccount);
  await showPages(
    context,
    pages,
    ACCOUNT_COLUMNS,
    "There are no accounts.",
    "Create one: routeplane cloud account create <name>",
  );
}

function show(context: Context, account: Account | undefined): void {
  const view = fromProtoAccount(requirePresent(account));
  context.output.data(view, () => accountLine(view));
}
