import { type Msg, nanos } from "nats";

/** Message as the server delivered it, with the answers to it. Answers are not confirmed by the server. */
export interface Delivery {
  /** Sequence number in the stream. */
  readonly sequence: number;
  /** Number of deliveries so far, this one included. */
  readonly attempt: number;
  readonly payload: Uint8Array;
  /** Acknowledges the message: it is not delivered again. */
  ack(): void;
  /** Refuses the message: it is delivered again after `delayMs`, to any worker. */
  nak(delayMs: number): void;
}

/** Number of tokens in a reply subject without domain: `$JS.ACK.[domain.account.]stream.consumer.attempt.sequence.…`. */
const PLAIN_TOKENS = 9;
const ATTEMPT = 4;
const SEQUENCE = 5;
const ACK = Buffer.from("+ACK");

export function toDelivery(message: Msg): Delivery {
  const tokens = (message.reply ?? "").split(".");
  const shift = tokens.length > PLAIN_TOKENS ? 2 : 0;
  return {
    sequence: Number(tokens[SEQUENCE + shift]),
    attempt: Number(tokens[ATTEMPT + shift]),
    payload: message.data,
    ack: () => void message.respond(ACK),
    nak: (delayMs) => void message.respond(Buffer.from(`-NAK ${JSON.stringify({ delay: nanos(delayMs) })}`)),
  };
}
