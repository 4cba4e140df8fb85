import type { Command } from "commander";
import { idArgument } from "../../arguments.ts";
import type { Context } from "../../context.ts";
import { block } from "../../output/table.ts";
import { RequestNames } from "../../request-names.ts";
import { loginCredential } from "../../session.ts";
import { explainRequest } from "./explain-request.ts";
import { fromProtoReceipt } from "../../views/requests/receipt.ts";
import { fromProtoRequest, requestFields } from "../../views/requests/request.ts";
import { requirePresent } from "../../views/values.ts";
import { withExamples } from "../examples.ts";

export function addRequestCommands(request: Command, context: Context): void {
  withExamples(request, "cloud request get req_01jxyz…", "cloud request explain req_01jxyz…");
  const get = request
    .command("get")
    .description("Show the receipt of a request")
    .argument("<id>", "Id (req_…), the x-request-id of the answer", idArgument)
    .addHelpText(
      "after",
      "\nShows its reservation, its charge, the decisions of guardrails and policies, and the times.",
    )
    .action((id: string) => showRequest(context, id));
  withExamples(get, "cloud request get req_01jxyz…");

  const explain = request
    .command("explain")
    .description("Explain how a request ended, and what to do next")
    .argument("<id>", "Id (req_…), the x-request-id of the answer", idArgument)
    .addHelpText(
      "after",
      "\nNames the policy, the rule and the principal that refused it, what was left and\nwhen to try again. A request without a valid key or body is not in the log.",
    )
    .action((id: string) => explainRequest(context, id));
  withExamples(explain, "cloud request explain req_01jxyz…", "cloud request explain req_01jxyz… --json");
}

async function showRequest(context: Context, id: string): Promise<void> {
  const client = await context.connect(await loginCredential(context.settings));
  const { request, receipt } = await client.usage.getRequest({ id });
  const found = requirePresent(request);
  const names = new RequestNames(client, context.output);
  await names.load([found.keyId]);
  const row = fromProtoRequest(found, names);
  const view = { ...row, ...fromProtoReceipt(row, receipt) };
  context.output.data(view, () => block(requestFields(view)));
}
