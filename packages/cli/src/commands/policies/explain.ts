import { PROTO_PRINCIPAL_TYPES } from "@routeplane/policy-spec/proto";
import type { ResolvedModel } from "@routeplane/guardrails";
import type { Command } from "commander";
import { countArgument, idArgument, keyArgument, MAX_COUNT } from "../../arguments.ts";
import type { Context } from "../../context.ts";
import { block } from "../../output/table.ts";
import { resolveKey } from "../../resolve-name.ts";
import { readServedModels } from "../../served-models.ts";
import { loginCredential } from "../../session.ts";
import { fromServedModel } from "../../views/model.ts";
import { fromProtoEffectivePolicy } from "../../views/policies/effective-policy.ts";
import { type ExplainedCall, explainedCall, explainedCallFields } from "../../views/policies/explained-call.ts";
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
    .description("Explain whether policies would refuse a request now")
    .requiredOption("--key <name|id>", "Name or id of the key (key_…)", keyArgument)
    .requiredOption("--model <model>", "Model, as the request would name it", idArgument)
    .option("--max-tokens <n>", "Output bound of the request", countArgument(MAX_COUNT))
    .option("--stream", "Explain a request for a stream")
    .addHelpText(
      "after",
      "\nJudges the model, streaming, the output bound, limits that are used up, and what\nthe cheapest request of the model costs. What depends on the content is not judged. Nothing is sent or reserved.",
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
  const found = await findModel(context, credential.token, name);
  const maxOutput = maxTokens === undefined ? undefined : Number(maxTokens);
  const call = { ...found, keyId, streamed: stream, maxTokens: maxOutput };
  const view = explainedCall(effective, call);
  context.output.data(view, () => block(explainedCallFields(view)));
}

/** Model that the name in a request refers to: a served model with this `provider/id` or id, else the name as written. */
async function findModel(
  context: Context,
  token: string,
  name: string,
): Promise<Pick<ExplainedCall, "model" | "cheapestMicroUsd" | "isListed">> {
  const served = await readServedModels(await context.url(), token).catch(() => []);
  const wanted = name.trim().toLowerCase();
  const isNamed = (text: string): boolean => text.toLowerCase() === wanted;
  const found = served.find(({ id, owned_by }) => isNamed(`${owned_by}/${id}`)) ?? served.find(({ id }) => isNamed(id));
  if (found === undefined) return { model: writtenModel(name), cheapestMicroUsd: null, isListed: served.length === 0 };
  const { provider, id, cheapest_request_micro_usd: cheapestMicroUsd } = fromServedModel(found);
  const prefix = `${provider}/`;
  const model = { provider, id: id.startsWith(prefix) ? id.slice(prefix.length) : id };
  return { model, cheapestMicroUsd, isListed: true };
}

function writtenModel(name: string): ResolvedModel {
  const slash = name.indexOf("/");
  return slash === -1 ? { provider: "", id: name } : { provider: name.slice(0, slash), id: name.slice(slash + 1) };
}
