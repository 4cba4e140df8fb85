import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { PolicyKind } from "@routeplane/policy-spec";
import type { Command } from "commander";
import { policyArgument } from "../../arguments.ts";
import type { NodeClient } from "../../client.ts";
import type { Context } from "../../context.ts";
import { CliError, ExitCode, usageError } from "../../errors.ts";
import { canAsk } from "../../input.ts";
import { printable } from "../../output/printable.ts";
import { block } from "../../output/table.ts";
import { resolvePolicy } from "../../resolve-name.ts";
import { loginCredential } from "../../session.ts";
import { readSpec } from "../../specs/read-spec.ts";
import { withWrittenPaths } from "../../specs/written-paths.ts";
import { fromProtoPolicy, policyFields, type PolicyView } from "../../views/policies/policy.ts";
import { requirePresent } from "../../views/values.ts";
import { withExamples } from "../examples.ts";

export function addEditCommand(policy: Command, context: Context): void {
  const edit = policy
    .command("edit")
    .description("Edit the spec of a policy in your editor")
    .argument("<name|id>", "Name or id of the policy (pol_…)", policyArgument)
    .addHelpText(
      "after",
      "\nOpens the spec as YAML in $VISUAL, else $EDITOR, else vi. A spec that is refused is opened\nagain with the reason; leave it unchanged to give up.",
    )
    .action((nameOrId: string) => editPolicy(context, nameOrId));
  withExamples(edit, "cloud policy edit daily-cap", "EDITOR='code --wait' routeplane cloud policy edit pol_01jxyz…");
}

async function editPolicy(context: Context, nameOrId: string): Promise<void> {
  if (!canAsk(context)) {
    throw usageError(
      "policy edit needs a terminal",
      "Use `routeplane cloud policy get <id> --json`, and `policy update <id> --spec <file|->`.",
    );
  }
  const client = await context.connect(await loginCredential(context.settings));
  const id = await resolvePolicy(client, nameOrId);
  const policy = fromProtoPolicy(requirePresent((await client.policies.getPolicy({ id })).policy));
  const folder = await mkdtemp(join(tmpdir(), "routeplane-edit-"));
  const path = join(folder, "spec.yaml");
  const { stringify } = await import("yaml");
  const original = stringify(policy.spec);
  let edited: PolicyView | undefined;
  try {
    edited = await editUntilAccepted(context, client, policy, { path, original });
  } catch (error) {
    const isEdited = withoutComments(await readFile(path, "utf8").catch(() => original)) !== withoutComments(original);
    if (isEdited) context.output.note(`The edited spec was kept in ${path}`);
    else await rm(folder, { recursive: true, force: true });
    throw error;
  }
  await rm(folder, { recursive: true, force: true });
  if (edited === undefined) return context.output.note("Nothing was changed.");
  const view = edited;
  context.output.data(view, () => block(policyFields(view)));
}

/** Opens the editor until the node accepts the spec. @returns the changed policy; undefined if the spec was not changed */
async function editUntilAccepted(
  context: Context,
  client: NodeClient,
  policy: PolicyView,
  { path, original }: { readonly path: string; readonly original: string },
): Promise<PolicyView | undefined> {
  const { parse } = await import("yaml");
  const heading = `# Spec of the ${policy.kind} "${printable(policy.name)}". Leave it unchanged to change nothing.\n`;
  let text = heading + original;
  let refusal: CliError | undefined;
  for (;;) {
    await writeFile(path, text, { mode: 0o600 });
    await openEditor(context, path);
    const written = await readFile(path, "utf8");
    if (written === text && refusal !== undefined) throw refusal;
    if (written === text || withoutComments(written) === withoutComments(original)) return undefined;
    try {
      return await update(context, client, policy, parse(written, { maxAliasCount: 0 }));
    } catch (error) {
      refusal = refusalOf(error);
      text = `# Refused: ${printable(refusal.message).replaceAll("\n", "\n# ")}\n${withoutComments(written)}`;
    }
  }
}

async function update(
  context: Context,
  { policies }: NodeClient,
  policy: PolicyView,
  spec: unknown,
): Promise<PolicyView> {
  const kind = policy.kind as PolicyKind;
  const request = policies.updatePolicy({ id: policy.id, etag: policy.etag, spec: readSpec(kind, spec) });
  return fromProtoPolicy(requirePresent((await withWrittenPaths(context, kind, request)).policy));
}

/** Returns the error if it is a refusal of the spec, which can be corrected. @throws any other error */
function refusalOf(error: unknown): CliError {
  if (error instanceof CliError && error.code === "invalid_argument") return error;
  if (error instanceof Error && error.name.startsWith("YAML")) {
    return new CliError(ExitCode.failed, "invalid_argument", "FIELD_INVALID", `the file is not YAML: ${error.message}`);
  }
  throw error;
}

function withoutComments(text: string): string {
  return text.replace(/^#.*\n/gm, "");
}

/** Runs the editor on the terminal. @throws CliError if it cannot be run, or fails */
async function openEditor({ settings: { environment } }: Context, path: string): Promise<void> {
  const editor = environment["VISUAL"]?.trim() || environment["EDITOR"]?.trim() || "vi";
  // As git does: the variable may hold arguments.
  const process = spawn("sh", ["-c", `${editor} "$@"`, editor, path], { stdio: "inherit", env: { ...environment } });
  const [code] = (await once(process, "exit")) as [number | null];
  if (code === 0) return;
  throw new CliError(ExitCode.failed, "aborted", "NOT_CONFIRMED", `the editor (${editor}) failed; nothing was changed`);
}
