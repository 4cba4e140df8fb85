import { Code, ConnectError, type Transport } from "@connectrpc/connect";

/** The way to a service with a change feed, that a test can break as networks do. */
export interface BreakableTransport extends Transport {
  /** Calls so far, the change feed not counted. */
  readonly calls: number;
  /** Calls that the service has answered. */
  readonly answered: number;
  /** Changes that came through. */
  readonly heard: number;
  /** Calls get no answer. */
  callsFail: boolean;
  /** Nothing comes through the change feed, and nothing says so. */
  feedSilent: boolean;
  /** So many changes are lost on the way. */
  changesToLose: number;
  /** Answers wait for this. */
  gate: Promise<void>;
}

export function breakable(transport: Transport): BreakableTransport {
  const state = {
    calls: 0,
    answered: 0,
    heard: 0,
    callsFail: false,
    feedSilent: false,
    changesToLose: 0,
    gate: Promise.resolve(),
  };
  const passes = (message: object): boolean => {
    if (state.feedSilent) return false;
    if (!("subjectId" in message) || message.subjectId === "") return true;
    if (state.changesToLose > 0) {
      state.changesToLose--;
      return false;
    }
    state.heard++;
    return true;
  };
  async function* passing<T extends object>(messages: AsyncIterable<T>): AsyncGenerator<T> {
    for await (const message of messages) if (passes(message)) yield message;
  }
  return Object.assign(state, {
    async unary(...call) {
      state.calls++;
      if (state.callsFail) throw new ConnectError("no answer", Code.Unavailable);
      const answer = await transport.unary(...call);
      state.answered++;
      await state.gate;
      return answer;
    },
    async stream(...call) {
      const answer = await transport.stream(...call);
      return { ...answer, message: passing(answer.message) };
    },
  } satisfies Transport);
}
