import type { StreamState, WireStreamWriter } from "./codec.ts";
import type { Stop, StreamError, StreamEvent, StreamStart, Usage, WireEvent } from "./model.ts";
import { type AnswerContext, wholeHead, withCallId } from "./whole-head.ts";

const TOO_MANY_PARTS: StreamError = { type: "server_error", message: "The answer has too many parts." };

/**
 * Writer of a neutral stream. It contains the logic that is common to all wires: adding a start that the upstream left out, collecting
 * facts from several events, the maximum number of parts, and writing nothing after an end.
 */
export class StreamWriter {
  readonly #wire: WireStreamWriter;
  readonly #context: AnswerContext;
  #hasStarted = false;
  #hasEnded = false;
  #id = "";
  #parts = 0;
  #stop: Stop = {};
  #usage: Usage | undefined;
  #serviceTier: string | undefined;

  constructor(wire: WireStreamWriter, context: AnswerContext) {
    this.#wire = wire;
    this.#context = context;
  }

  write(event: StreamEvent): readonly WireEvent[] {
    if (this.#hasEnded) return [];
    switch (event.type) {
      case "start":
        return this.#start(event);
      case "usage":
        this.#usage = { ...this.#usage, ...event.usage };
        return [];
      case "stop":
        this.#stop = event.stop;
        this.#serviceTier = event.serviceTier ?? this.#serviceTier;
        return [];
      case "error":
        return this.#fail(event.error);
      case "end":
        this.#hasEnded = true;
        return [...this.#started(), ...this.#wire.end(this.#state)];
      case "part_start":
        if (++this.#parts > (this.#wire.partsMax ?? Infinity)) return this.#fail(TOO_MANY_PARTS);
        return [
          ...this.#started(),
          ...this.#wire.part({ ...event, part: withCallId(event.part, this.#id, event.index) }),
        ];
      default:
        return [...this.#started(), ...this.#wire.part(event)];
    }
  }

  /** Called last. Writes the usage of a stream that broke off, without a normal end. */
  finish(): readonly WireEvent[] {
    if (this.#hasEnded || this.#usage === undefined) return [];
    this.#hasEnded = true;
    return [...this.#started(), ...this.#wire.breakOff(this.#state)];
  }

  get #state(): StreamState {
    return { stop: this.#stop, usage: this.#usage, serviceTier: this.#serviceTier };
  }

  #start({ type: _type, ...head }: StreamStart): readonly WireEvent[] {
    if (this.#hasStarted) return [];
    this.#hasStarted = true;
    this.#id = head.id;
    this.#serviceTier = head.serviceTier;
    return this.#wire.start(wholeHead(head, this.#context), this.#usage);
  }

  #started(): readonly WireEvent[] {
    return this.#hasStarted ? [] : this.#start({ type: "start", id: "", model: "" });
  }

  #fail(error: StreamError): readonly WireEvent[] {
    this.#hasEnded = true;
    const started = this.#usage === undefined ? [] : this.#started();
    return [...started, ...this.#wire.fail(error, this.#state)];
  }
}
