import { PROTO_PRINCIPAL_TYPES } from "@routeplane/policy-spec/proto";
import type { ResolvedModel } from "@routeplane/guardrails";
import type { Command } from "commander";
import { countArgument, idArgument, keyArgument, MAX_COUNT } from "../../arguments.ts";
import type { Context } from "../../context.ts";
import { block } from "../../output/table.ts";
import { resolveKey } from "../../resolve-name.ts";
import { readServedModels } from "../../served-models.ts";
import { loginCredential } from "../../session.ts";
import { fromProtoEffectivePolicy } from "../../views/policies/effective-policy.ts";
import { explainedCall, explainedCallFields } from "../../views/policies/explained-call.ts";
import { requirePresent } from "../../views/values.ts";
import { withExamples } from "../examples.ts";

interface ExplainOptions {
  readonly key: string;
  readonly model: string;
  readonly maxTokens?: bigint;
  readonly stream?: boolean;
}

export function addExplainCommand(policy: Command, context: Context): void {
  const explain = policy
    .command("explain")
    .description("Explain what policies would make of a request now")
    .requiredOption("--key <name|id>", "Name or id of the key (key_…)", keyArgument)
    .requiredOption("--model <model>", "Model, as the request would name it", idArgument)
    .option("--max-tokens <n>", "Output bound of the request", countArgument(MAX_COUNT))
    .option("--stream", "Explain a request for a stream")
    .addHelpText(
      "after",
      "\nJudges the model, streaming, the output bound and limits that are used up. What\ndepends on the content or its price is not judged. Nothing is sent or reserved.",
    )
    .action((options: ExplainOptions) => explainCall(context, options));
  withExamples(
    explain,
    "cloud policy explain --key my-agent --model gpt-4o-mini",
    "cloud policy explain --key my-agent --model gpt-4o-mini --max-tokens 4000 --stream --json",
  );
}

async function explainCall(context: Context, { key, model: name, maxTokens, stream = false }: ExplainOptions) {
  const credential = await loginCredential(context.settings);
  const client = await context.connect(credential);
  const keyId = await resolveKey(client, key);
  const principal = { principalType: PROTO_PRINCIPAL_TYPES.api_key, principalId: keyId };
  const { effectivePolicy } = await client.effectivePolicy.getEffectivePolicy(principal);
  const effective = fromProtoEffectivePolicy(requirePresent(effectivePolicy));
  const model = await findModel(context, credential.token, name);
  const maxOutput = maxTokens === undefined ? undefined : Number(maxTokens);
  const view = explainedCall(effective, { keyId, model, streamed: stream, maxTokens: maxOutput });
  context.output.data(view, () => block(explainedCallFields(view)));
}

/** Model that a request would mean: one that is served, by `provider/id` or id, else the name as it is written. */
async function findModel(context: Context, token: string, name: string): Promise<ResolvedModel> {
  const served = await readServedModels(await context.url(), token).catch(() => []);
  const wanted = name.trim().toLowerCase();
  const isNamed = (text: string): boolean => text.toLowerCase() === wanted;
  const found = served.find(({ id, owned_by }) => isNamed(`${owned_by}/${id}`)) ?? served.find(({ id }) => isNamed(id));
  if (found !== undefined) {
    const prefix = `${found.owned_by}/`;
    return { provider: found.owned_by, id: found.id.startsWith(prefix) ? found.id.slice(prefix.length) : found.id };
  }
  const slash = name.indexOf("/");
  return slash === -1 ? { provider: "", id: name } : { provider: name.slice(0, slash), id: name.slice(slash + 1) };
}
