import type { Command } from "commander";
import { idArgument } from "../../arguments.ts";
import type { Context } from "../../context.ts";
import { block } from "../../output/table.ts";
import { loginCredential } from "../../session.ts";
import { fromProtoReceipt } from "../../views/requests/receipt.ts";
import { fromProtoRequest, requestFields } from "../../views/requests/request.ts";
import { requirePresent } from "../../views/values.ts";
import { withExamples } from "../examples.ts";

export function addRequestCommands(request: Command, context: Context): void {
  withExamples(request, "cloud request get req_01jxyz…");
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
}

async function showRequest(context: Context, id: string): Promise<void> {
  const { usage } = await context.connect(await loginCredential(context.settings));
  const { request, receipt } = await usage.getRequest({ id });
  const row = fromProtoRequest(requirePresent(request));
  const view = { ...row, ...fromProtoReceipt(row, receipt) };
  context.output.data(view, () => block(requestFields(view)));
}
