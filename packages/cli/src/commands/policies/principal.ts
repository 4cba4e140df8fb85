import { PROTO_PRINCIPAL_TYPES } from "@routeplane/policy-spec/proto";
import type { PrincipalType } from "@routeplane/contracts/policy";
import { type Command, Option } from "commander";
import { principalArgument } from "../../arguments.ts";
import type { NodeClient } from "../../client.ts";
import { usageError } from "../../errors.ts";
import { resolvePrincipal, resolveUntypedPrincipal } from "../../resolve-name.ts";

/** The principal of a command: named by an argument alone, or by options that also give its type. */

type PrincipalTypeName = keyof typeof PROTO_PRINCIPAL_TYPES;

export interface PrincipalOptions {
  readonly principalType?: PrincipalTypeName;
  readonly principalId?: string;
}

/** Principal as a command line names it. */
interface PrincipalReference {
  /** Undefined if the name or id alone determines the type. */
  readonly type: PrincipalTypeName | undefined;
  readonly nameOrId: string;
}

/** Help text of the argument that names a principal. */
export const PRINCIPAL_ARGUMENT = "Name or id of a key (key_…), or of the namespace (ns_…)";

export function addPrincipalOptions(command: Command, typeDescription: string): Command {
  return command
    .addOption(new Option("--principal-type <type>", typeDescription).choices(Object.keys(PROTO_PRINCIPAL_TYPES)))
    .option("--principal-id <name|id>", "Name or id of the principal (key_… or ns_…)", principalArgument);
}

/** Principal that the argument or the options name. @throws CliError usage if neither does, or both do */
export function requirePrincipal(named: string | undefined, options: PrincipalOptions): PrincipalReference {
  const { principalType: type, principalId } = options;
  if (named !== undefined && principalId !== undefined) {
    throw usageError("name the principal once: as an argument or with --principal-id");
  }
  const nameOrId = named ?? principalId;
  if (nameOrId !== undefined) return { type, nameOrId };
  throw usageError("a principal is missing: give the name or id of a key, or --principal-type and --principal-id");
}

/** Members of a request that name the principal. @throws CliError as `resolvePrincipal` */
export async function toProtoPrincipal(
  client: NodeClient,
  { type, nameOrId }: PrincipalReference,
): Promise<{ principalType: PrincipalType; principalId: string }> {
  const principal =
    type === undefined
      ? await resolveUntypedPrincipal(client, nameOrId)
      : { type, id: await resolvePrincipal(client, type, nameOrId) };
  return { principalType: PROTO_PRINCIPAL_TYPES[principal.type], principalId: principal.id };
}
