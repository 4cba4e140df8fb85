import type { DescMethod } from "@bufbuild/protobuf";
import type { ConnectError } from "@connectrpc/connect";
import { codeToHttpStatus, endStreamFlag, endStreamToJson, errorToJson } from "@connectrpc/connect/protocol-connect";
import type { Exchange } from "./exchange.ts";

/**
 * Answers with an error as the services do: of a call to a streaming method within the stream, which is 200.
 *
 * @param status of any other call, if not the one of the error's code
 */
export async function sendConnectError(
  exchange: Exchange,
  error: ConnectError,
  { method, status }: { readonly method?: DescMethod; readonly status?: number } = {},
): Promise<void> {
  const type = exchange.request.headers["content-type"];
  if (method === undefined || method.methodKind === "unary" || type?.startsWith("application/connect+") !== true) {
    return exchange.sendJson(status ?? codeToHttpStatus(error.code), errorToJson(error, undefined));
  }
  error.metadata.set("x-request-id", exchange.requestId);
  const message = Buffer.from(JSON.stringify(endStreamToJson(error.metadata, error, undefined)));
  const head = Buffer.from([endStreamFlag, 0, 0, 0, 0]);
  head.writeUInt32BE(message.length, 1);
  exchange.reply.begin(200, { "content-type": type });
  await exchange.reply.end(Buffer.concat([head, message]));
}
