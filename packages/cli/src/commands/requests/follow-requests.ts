import { setTimeout as delay } from "node:timers/promises";
import { Code, ConnectError } from "@connectrpc/connect";
import type { Context } from "../../context.ts";
import { RequestNames } from "../../request-names.ts";
import { loginCredential } from "../../session.ts";
import { rowPrinter } from "../../views/list.ts";
import { fromProtoRequest, REQUEST_COLUMNS } from "../../views/requests/request.ts";
import { type RequestSelection, toFilter } from "./request-filter.ts";
import { resolveFilter } from "./resolve-filter.ts";

const RETRY_MS = 1_000;
/**
 * Codes after which the stream is opened again; any other ends the command. The node can count streams that broke as open, for a few seconds,
 * and then refuses another one.
 */
const RETRIED: ReadonlySet<Code> = new Set([
  Code.Unavailable,
  Code.DeadlineExceeded,
  Code.Aborted,
  Code.Unknown,
  Code.ResourceExhausted,
]);

/** Prints requests as they end, until the process is stopped. A stream that breaks is resumed after the last request printed. */
export async function followRequests(context: Context, options: RequestSelection): Promise<void> {
  const credential = await loginCredential(context.settings);
  const client = await context.connect(credential);
  const names = new RequestNames(client, context.output);
  const filter = toFilter(await resolveFilter(context, credential, options));
  let resumeToken = "";
  let isDisconnected = false;
  const print = rowPrinter(context, REQUEST_COLUMNS);
  for (;;) {
    try {
      for await (const message of client.usage.watchRequests({ filter, resumeToken })) {
        await names.load(message.requests.map(({ keyId }) => keyId));
        for (const request of message.requests) print(fromProtoRequest(request, names));
        // Set after the rows are printed, so that a message of which only a part was printed is sent again.
        resumeToken = message.resumeToken;
        isDisconnected = false;
      }
    } catch (error) {
      // Without a token no stream has worked yet, so the fault is not a lost connection.
      if (resumeToken === "" || !RETRIED.has(ConnectError.from(error).code)) throw error;
      if (!isDisconnected) context.output.note("The stream is interrupted; resuming as soon as possible.");
      isDisconnected = true;
      await delay(RETRY_MS);
    }
  }
}
