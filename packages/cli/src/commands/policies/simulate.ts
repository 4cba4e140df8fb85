import type { MessageInitShape } from "@bufbuild/protobuf";
import type { SimulatePolicyRequestSchema } from "@routeplane/contracts/policy";
import type { PolicyKind } from "@routeplane/policy-spec";
import { PROTO_POLICY_KINDS, PROTO_PRINCIPAL_TYPES } from "@routeplane/policy-spec/proto";
import { type Command, Option } from "commander";
import { daysArgument, policyArgument, principalArgument } from "../../arguments.ts";
import type { Context } from "../../context.ts";
import { usageError } from "../../errors.ts";
import { resolvePolicy, resolvePrincipal } from "../../resolve-name.ts";
import { loginCredential } from "../../session.ts";
import { withWrittenPaths } from "../../specs/written-paths.ts";
import { readSpec } from "../../specs/read-spec.ts";
import { readJson } from "../../specs/spec-source.ts";
import { fromProtoSimulation, simulationText } from "../../views/policies/simulation.ts";
import { withExamples } from "../examples.ts";
import { specReference } from "./spec-reference.ts";

interface SimulateOptions {
  readonly kind?: PolicyKind;
  readonly spec?: string;
  readonly principalType?: keyof typeof PROTO_PRINCIPAL_TYPES;
  readonly principalId?: string;
  readonly days: number;
}

/** Time limit of a simulation. The node simulates up to 100,000 requests in less. */
const TIMEOUT_MS = 30_000;

export function addSimulateCommand(policy: Command, context: Context): void {
  const simulate = policy
    .command("simulate")
    .description("Simulate a policy or a draft on the logged requests")
    .argument("[name|id]", "Name or id of the policy, unless a draft is given", policyArgument)
    .addOption(new Option("--kind <kind>", "Kind of the draft").choices(Object.keys(PROTO_POLICY_KINDS)))
    .option("--spec <file|->", "File with the draft in JSON; - is standard input")
    .addOption(
      new Option("--principal-type <type>", "Type of the principal (default: namespace)").choices(
        Object.keys(PROTO_PRINCIPAL_TYPES),
      ),
    )
    .option("--principal-id <name|id>", "Name or id of the principal (key_… or ns_…)", principalArgument)
    .option("--days <days>", "Number of days back from now, 1 to 90", daysArgument, 7)
    .addHelpText("after", "\nShows which requests it would have refused. Nothing is changed.")
    .addHelpText("after", specReference())
    .action((id: string | undefined, options: SimulateOptions) => simulatePolicy(context, id, options));
  withExamples(
    simulate,
    "cloud policy simulate pol_01jxyz… --days 30",
    `cloud policy simulate --kind budget --spec - <<< '{"window": "day", "limit_micro_usd": 5000000}'`,
  );
}

async function simulatePolicy(context: Context, id: string | undefined, options: SimulateOptions): Promise<void> {
  const { kind, principalType, principalId, days } = options;
  if ((principalType === undefined) !== (principalId === undefined)) {
    throw usageError("--principal-type and --principal-id must be given together");
  }
  const subject = await subjectOf(context, id, options);
  const client = await context.connect(await loginCredential(context.settings));
  if (subject.case === "policyId") subject.value = await resolvePolicy(client, subject.value);
  const principal = principalType && {
    principalType: PROTO_PRINCIPAL_TYPES[principalType],
    principalId: await resolvePrincipal(client, principalType, principalId ?? ""),
  };
  context.output.note(`Simulating on the requests of the last ${days === 1 ? "day" : `${days} days`}…`);
  const call = client.simulation.simulatePolicy({ subject, ...principal, days }, { timeoutMs: TIMEOUT_MS });
  const view = fromProtoSimulation(await (kind === undefined ? call : withWrittenPaths(context, kind, call)));
  context.output.data(view, (style) => simulationText(view, style));
}

type Subject = NonNullable<MessageInitShape<typeof SimulatePolicyRequestSchema>["subject"]>;

async function subjectOf(context: Context, id: string | undefined, { kind, spec }: SimulateOptions): Promise<Subject> {
  if (id !== undefined) {
    if (kind !== undefined || spec !== undefined) throw usageError("give a policy or a draft, not both");
    return { case: "policyId", value: id };
  }
  if (kind === undefined || spec === undefined) {
    throw usageError("give the id of a policy, or a draft with --kind and --spec");
  }
  return { case: "spec", value: readSpec(kind, await readJson(context, spec)) };
}
