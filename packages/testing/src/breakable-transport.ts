import { Code, ConnectError, type Transport } from "@connectrpc/connect";

/** A transport to a service with a change feed, with switches for the ways in which networks fail. */
export interface BreakableTransport extends Transport {
  /** Number of calls that were made; the change feed is not counted. */
  readonly calls: number;
  /** Number of calls that the service has answered. */
  readonly callsAnswered: number;
  /** Number of changes that the change feed has delivered. */
  readonly changesDelivered: number;
  /** Makes every call fail as UNAVAILABLE. */
  callsFail: boolean;
  /** Stops the delivery of changes and heartbeats without an error. */
  feedStalled: boolean;
  /** Number of further changes that are lost in transit. */
  changesToLose: number;
  /** Delays every response of a call until it resolves. */
  gate: Promise<void>;
}

export function breakable(transport: Transport): BreakableTransport {
  const state = {
    calls: 0,
    callsAnswered: 0,
    changesDelivered: 0,
    callsFail: false,
    feedStalled: false,
    changesToLose: 0,
    gate: Promise.resolve(),
  };
  const isDelivered = (message: object): boolean => {
    if (state.feedStalled) return false;
    if (!("subjectId" in message) || message.subjectId === "") return true;
    if (state.changesToLose > 0) {
      state.changesToLose--;
      return false;
    }
    state.changesDelivered++;
    return true;
  };
  async function* delivered<T extends object>(messages: AsyncIterable<T>): AsyncGenerator<T> {
    for await (const message of messages) if (isDelivered(message)) yield message;
  }
  return Object.assign(state, {
    async unary(...call) {
      state.calls++;
      if (state.callsFail) throw new ConnectError("no answer", Code.Unavailable);
      const response = await transport.unary(...call);
      state.callsAnswered++;
      await state.gate;
      return response;
    },
    async stream(...call) {
      const response = await transport.stream(...call);
      return { ...response, message: delivered(response.message) };
    },
  } satisfies Transport);
}
