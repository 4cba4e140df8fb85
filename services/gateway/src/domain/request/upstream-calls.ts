import type { Logger } from "@routeplane/runtime";
import type { Upstream, UpstreamAnswer, UpstreamBody, UpstreamRequest } from "../ports/upstream.ts";
import { collectStart } from "../response/answer-body.ts";
import type { InferenceRequest } from "./inference-request.ts";
import type { Model } from "./model-directory.ts";
import { namesAny, refusedMembers, targetWithout } from "./refused-members.ts";
import { withFailure } from "../response/answer-failure.ts";
import { TRANSLATED_WIRES } from "../wires/wires.ts";
import { translatedAnswer } from "../translation/translated-answer.ts";
import { type Translation, translateBody, translationFor } from "../translation/translated-request.ts";
import { DEFAULT_OUTPUT_TOKENS } from "./token-bounds.ts";
import { countTokens } from "./count-tokens.ts";
import { wiresOf } from "./model-fit.ts";
import type { TokenCounter } from "../ports/token-counter.ts";
import { addedMembers, type AddedMember, prepareUpstreamBody, type UpstreamTarget } from "./upstream-body.ts";
import { Cancellation, type CancelSignal } from "../ports/cancel-signal.ts";

/** Sends a prepared request with this output bound of each choice. @throws UpstreamFault if there is no answer */
export type SendUpstream = (outputTokensMax: number, options: SendOptions) => Promise<UpstreamAnswer>;

export interface SendOptions {
  readonly signal: CancelSignal;
  /** True if another attempt may follow: an error that the answer begins with is then reported as its `failure`. False by default. */
  readonly mayGoOn?: boolean;
}

/** Bound of an error that is searched for the names of members. */
const MAX_ERROR_BYTES = 256 * 1024;

/**
 * Calls of upstreams. Where an upstream refuses a member that the gateway added or renamed (400 or 422, in words that name it), the
 * request is sent once more: without `stream_options`, or with the output bound under its other name, never without one. The
 * upstream has not worked for the first attempt, so both are one request with one reservation.
 *
 * A refusal is remembered for the model once the second attempt has shown that it was one, until the providers are loaded again.
 * A client cannot bring it about: its own members are never changed for it.
 */
export class UpstreamCalls {
  readonly #log: Logger;
  readonly #tokenCounter: TokenCounter;
  /** Targets by model id, of each upstream. A reload opens new upstreams. */
  readonly #learnt = new WeakMap<Upstream, Map<string, UpstreamTarget>>();

  /** @param tokenCounter counts for models whose upstream does not */
  constructor(log: Logger, tokenCounter: TokenCounter) {
    this.#log = log;
    this.#tokenCounter = tokenCounter;
  }

  /**
   * Prepares a request for its model. Everything that can fail before it is sent is done here, but for the output bound.
   *
   * @returns a promise for a large request that is translated
   * @throws Refusal 400 for what cannot be translated; the reason of the signal
   */
  prepare(called: CalledModel): SendUpstream | Promise<SendUpstream> {
    const { request, model, upstream } = called;
    const { wire } = request;
    const mustCount = wire.name === "count_tokens" && !wiresOf(model).has("messages");
    if (mustCount) return () => countTokens(request, model, this.#tokenCounter);
    const target = this.#learnt.get(upstream)?.get(model.id) ?? model;
    const translation = translationFor(wire.name, model);
    const call = { ...called, target, translation };
    const written = writeRequest(call, target);
    return written instanceof Promise
      ? written.then((ready) => this.#sendingOf(call, ready))
      : this.#sendingOf(call, written);
  }

  #sendingOf(call: PreparedCall, written: WrittenRequest): SendUpstream {
    const { request, model, upstream, headers, translation } = call;
    const { streamed, wire } = request;
    const own = { wire: translation?.upstream ?? wire.name, headers: translation === undefined ? headers : undefined };
    const sendBody = (body: UpstreamBody, signal: CancelSignal): Promise<UpstreamAnswer> =>
      upstream.send({ ...own, model: model.id, body, streamed, signal });
    const send: SendBody = (body, signal) =>
      body instanceof Promise ? body.then((ready) => sendBody(ready, signal)) : sendBody(body, signal);
    const sendWritten: SendUpstream = (outputTokensMax, { signal }) =>
      written.added.length === 0
        ? send(written.bodyFor(outputTokensMax), signal)
        : this.#sendOrChange(call, written, send, { outputTokensMax, signal });
    const format = translation === undefined ? wire.answer : TRANSLATED_WIRES[translation.upstream].answer;
    const sendSearched: SendUpstream = (outputTokensMax, options) => {
      const answer = sendWritten(outputTokensMax, options);
      const { signal, mayGoOn = false } = options;
      return mayGoOn ? answer.then((begun) => withFailure(begun, { format, signal })) : answer;
    };
    if (translation === undefined) return sendSearched;
    const context = { requestedModel: model.id };
    const { dropped } = written;
    return async (outputTokensMax, options) => {
      const answer = await sendSearched(outputTokensMax, options);
      const { signal } = options;
      return { ...translatedAnswer(answer, { ...translation, context, streamed, outputTokensMax, signal }), dropped };
    };
  }

  /** Sends a request, and once more if its upstream refuses a member that was added. */
  async #sendOrChange(
    call: PreparedCall,
    written: WrittenRequest,
    send: SendBody,
    { outputTokensMax, signal }: { readonly outputTokensMax: number; readonly signal: CancelSignal },
  ): Promise<UpstreamAnswer> {
    const { model, upstream, target } = call;
    const first = await send(written.bodyFor(outputTokensMax), signal);
    if (!isRequestRefused(first)) return first;
    const { text, answer } = await readError(first);
    const refused = refusedMembers(text, written.added);
    if (refused.length === 0 || signal.aborted) return answer;
    const changed = targetWithout(target, refused);
    const rewritten = await writeRequest({ ...call, signal: NEVER }, changed);
    if (signal.aborted) return answer;
    const second = await send(rewritten.bodyFor(outputTokensMax), signal);
    if (!isRequestRefused(second)) {
      if (isSuccess(second)) this.#learn(upstream, model, changed, refused);
      return second;
    }
    const { text: secondText, answer: secondAnswer } = await readError(second);
    const stillAdded = rewritten.added.filter((member) => written.added.includes(member));
    // It went on to refuse another member, so it did refuse the first one.
    if (namesAny(secondText, stillAdded) && !namesAny(secondText, refused))
      this.#learn(upstream, model, changed, refused);
    return secondAnswer;
  }

  #learn(upstream: Upstream, { provider, id }: Model, target: UpstreamTarget, refused: readonly AddedMember[]): void {
    const targets = this.#learnt.get(upstream) ?? new Map<string, UpstreamTarget>();
    this.#learnt.set(upstream, targets.set(id, target));
    const { outputField, usageInStreams = "ask" } = target;
    const fields = { provider, model: id, refused, outputField, usageInStreams };
    this.#log.warn(fields, "upstream refuses fields that the gateway adds: requests are sent without them");
  }
}

type SendBody = (body: UpstreamBody | Promise<UpstreamBody>, signal: CancelSignal) => Promise<UpstreamAnswer>;

/** Signal of work that is short, and whose request has an answer already. */
const NEVER: CancelSignal = new Cancellation();

/** Request to a model. */
export interface CalledModel {
  readonly request: InferenceRequest;
  readonly model: Model;
  readonly upstream: Upstream;
  /** Headers of the client that an upstream of the same wire gets. */
  readonly headers: UpstreamRequest["headers"];
  /** Stops the work on a large body once it is aborted. */
  readonly signal: CancelSignal;
}

/** Request to one upstream, in its wire. */
interface PreparedCall extends CalledModel {
  readonly target: UpstreamTarget;
  /** Undefined if the upstream speaks the client's wire. */
  readonly translation: Translation | undefined;
}

/** Request in the wire of its upstream. */
interface WrittenRequest {
  /** Returns the body for an output bound of each choice. */
  readonly bodyFor: (outputTokensMax: number) => UpstreamBody | Promise<UpstreamBody>;
  /** Members that the client did not send, or not under that name, and that can be sent otherwise. */
  readonly added: readonly AddedMember[];
  /** Members of the client's body that are left out. */
  readonly dropped: readonly string[];
}

/** Writes a request for a target. @throws Refusal 400 for what cannot be translated */
function writeRequest(
  { request, model, translation, signal }: PreparedCall,
  target: UpstreamTarget,
): WrittenRequest | Promise<WrittenRequest> {
  if (translation === undefined) {
    return { bodyFor: prepareUpstreamBody(request, target), added: addedMembers(request, target), dropped: [] };
  }
  const { defaultOutputTokens = DEFAULT_OUTPUT_TOKENS } = model;
  const outputTokensMax = request.output?.bounded ?? defaultOutputTokens;
  return translateBody({ ...translation, request, outputTokensMax, signal }, target);
}

/** True for a status that says that the request itself is refused. */
function isRequestRefused({ status }: UpstreamAnswer): boolean {
  return status === 400 || status === 422;
}

function isSuccess({ status }: UpstreamAnswer): boolean {
  return status >= 200 && status <= 299;
}

/** Reads the start of an error. @returns its text, and the answer with a body that is read already */
async function readError(answer: UpstreamAnswer): Promise<{ readonly text: string; readonly answer: UpstreamAnswer }> {
  const start = await collectStart(answer.body, MAX_ERROR_BYTES);
  answer.discard();
  async function* body(): AsyncGenerator<Uint8Array> {
    yield start;
  }
  return { text: start.toString("utf8"), answer: { ...answer, body: body(), whole: undefined } };
}
