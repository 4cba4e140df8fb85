import { setTimeout as delay } from "node:timers/promises";
import { Code, ConnectError } from "@connectrpc/connect";
import type { Context } from "../../context.ts";
import { printable } from "../../output/printable.ts";
import { loginCredential } from "../../session.ts";
import { fromProtoRequest, REQUEST_COLUMNS, type RequestView } from "../../views/requests/request.ts";
import { type FilterOptions, toFilter } from "./request-filter.ts";
import { resolveFilter } from "./resolve-filter.ts";

const RETRY_MS = 1_000;
/** What ends by itself, or may be over soon. Anything else is said and ends the command. */
const PASSING: ReadonlySet<Code> = new Set([Code.Unavailable, Code.DeadlineExceeded, Code.Aborted, Code.Unknown]);

/** Prints requests as they end, for ever. Each stream goes on where the one before ended, however that ended. */
export async function followRequests(context: Context, options: FilterOptions): Promise<void> {
  const credential = await loginCredential(context.settings);
  const { usage } = await context.connect(credential);
  const filter = toFilter(await resolveFilter(context, credential, options));
  let resumeToken = "";
  let isAway = false;
  for (;;) {
    try {
      for await (const message of usage.watchRequests({ filter, resumeToken })) {
        for (const request of message.requests) print(context, fromProtoRequest(request));
        // Behind the rows: those of a message that was cut off come again, and none of them was printed.
        resumeToken = message.resumeToken;
        isAway = false;
      }
    } catch (error) {
      // Without a token there is nothing to go on from: it has not worked yet.
      if (resumeToken === "" || !PASSING.has(ConnectError.from(error).code)) throw error;
      if (!isAway) context.output.note("The node does not answer; going on where this was as soon as it does.");
      isAway = true;
      await delay(RETRY_MS);
    }
  }
}

/** A line each: JSON, or the cells of the list's columns, which are nearly all of one width. */
function print({ output, stdout }: Context, request: RequestView): void {
  const line = output.json ? JSON.stringify(request) : REQUEST_COLUMNS.map(({ cell }) => cell(request)).join("  ");
  stdout.write(`${printable(line)}\n`);
}
