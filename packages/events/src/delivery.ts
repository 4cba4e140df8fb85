import { type Msg, nanos } from "nats";

/** One message as the server delivered it, and the answers that it understands. Answers are not confirmed. */
export interface Delivery {
  /** Place in the stream. */
  readonly sequence: number;
  /** How often it was delivered, this time included. */
  readonly attempt: number;
  readonly payload: Uint8Array;
  /** Done: never again. */
  ack(): void;
  /** Not done: again after `delayMs`, to whichever worker asks then. */
  nak(delayMs: number): void;
}

/** The reply subject of a delivery: `$JS.ACK.[domain.account.]stream.consumer.attempt.sequence.…`. */
const PLAIN_TOKENS = 9;
const ATTEMPT = 4;
const SEQUENCE = 5;

export function toDelivery(message: Msg): Delivery {
  const tokens = (message.reply ?? "").split(".");
  const shift = tokens.length > PLAIN_TOKENS ? 2 : 0;
  return {
    sequence: Number(tokens[SEQUENCE + shift]),
    attempt: Number(tokens[ATTEMPT + shift]),
    payload: message.data,
    ack: () => void message.respond(Buffer.from("+ACK")),
    nak: (delayMs) => void message.respond(Buffer.from(`-NAK ${JSON.stringify({ delay: nanos(delayMs) })}`)),
  };
}
