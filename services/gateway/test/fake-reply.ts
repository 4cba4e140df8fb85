import type { CancelReason, Reply } from "../src/domain/ports/reply.ts";

/** Fake `Reply` to a client that accepts everything; keeps what it receives. */
export interface FakeReply extends Reply {
  readonly status: number | undefined;
  readonly headers: Readonly<Record<string, string>>;
  readonly text: string;
  readonly ended: boolean;
}

/** @param onWrite called after each write, e.g. to cancel the request after the first one */
export function fakeReply(onWrite: (reply: FakeReply) => void = () => {}): FakeReply {
  const controller = new AbortController();
  const chunks: Uint8Array[] = [];
  let status: number | undefined;
  let headers: Readonly<Record<string, string>> = {};
  let ended = false;
  const take = (bytes: Uint8Array): void => {
    if (controller.signal.aborted) throw new Error("the request was cancelled");
    chunks.push(bytes);
    onWrite(reply);
  };
  const reply: FakeReply = {
    signal: controller.signal,
    cancel: (reason: CancelReason) => controller.abort(reason),
    get begun() {
      return status !== undefined;
    },
    get status() {
      return status;
    },
    get headers() {
      return headers;
    },
    get text() {
      return Buffer.concat(chunks).toString("utf8");
    },
    get ended() {
      return ended;
    },
    announce(newHeaders) {
      headers = { ...headers, ...newHeaders };
    },
    begin(newStatus, newHeaders) {
      status = newStatus;
      headers = { ...headers, ...newHeaders };
    },
    async write(bytes) {
      take(bytes);
    },
    async end(bytes) {
      if (controller.signal.reason === "client_gone") return false;
      if (bytes !== undefined) chunks.push(bytes);
      ended = true;
      return true;
    },
  };
  return reply;
}
