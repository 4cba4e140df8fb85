import { isAscii } from "node:buffer";
import type { IncomingMessage } from "node:http";
import { bodyTooLarge, Refusal } from "../domain/errors/refusal.ts";
import type { BodyShare } from "./body-budget.ts";
import { expectsContinue } from "./request-head.ts";
import type { CancelSignal } from "../domain/ports/cancel-signal.ts";

/** Longest pause between two pieces of a body. */
const IDLE_TIMEOUT_MS = 30_000;
/** Announced size from which the memory of a body is allocated at once: its pieces are copied there as they arrive. */
const ALLOCATED_BYTES = 64 << 10;

export interface BodyBounds {
  readonly maxBytes: number;
  readonly share: BodyShare;
  /** True if the body is decoded: it is then held as text too, which takes two bytes a character outside ASCII. */
  readonly isText: boolean;
}

/** Checks the size that a request announces. @throws Refusal 413 */
export function requireAnnouncedSize(request: IncomingMessage, maxBytes: number): void {
  if ((announcedBytes(request) ?? 0) > maxBytes) throw bodyTooLarge(maxBytes);
}

/** Size of the body as the request announces it; undefined if it does not. */
export function announcedBytes({ headers }: IncomingMessage): number | undefined {
  const length = headers["content-length"];
  return length === undefined ? undefined : Number(length);
}

/**
 * Reads the whole body. If its size is announced, its memory is taken from the share before the first byte, so that of several large bodies
 * the first ones are read, and none is sent in vain.
 *
 * Uses events rather than iteration, which would destroy the connection when it stops: a client that sends too much must be able to read
 * the refusal. The rest of its body is dropped.
 *
 * @param onStart called before the first byte is read
 * @throws Refusal 413; 400 if the client leaves first; 408 if the body stops arriving; 503 if the share cannot hold it
 */
export async function readBody(request: IncomingMessage, bounds: BodyBounds, onStart: () => void): Promise<Buffer> {
  const { maxBytes, share, isText } = bounds;
  requireAnnouncedSize(request, maxBytes);
  const announced = announcedBytes(request);
  const copies = isText ? 2 : 1;
  if (announced !== undefined && !share.take(copies * announced)) throw bodiesTooLarge();
  onStart();
  const take = announced === undefined ? (bytes: number) => share.take(copies * bytes) : () => true;
  try {
    const body = await collect(request, { maxBytes, announced: announced ?? 0, take });
    if (isText && !isAscii(body) && !share.take(body.length)) throw bodiesTooLarge();
    return body;
  } catch (error) {
    share.release();
    throw error;
  }
}

interface Collection {
  readonly maxBytes: number;
  /** Announced size; 0 if there is none. */
  readonly announced: number;
  /** Takes the bytes of a piece. @returns false if there is no memory for them */
  readonly take: (bytes: number) => boolean;
}

function collect(request: IncomingMessage, { maxBytes, announced, take }: Collection): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    // Its client left while the request waited: no event will come any more.
    if (request.destroyed) throw bodyBrokenOff();
    const allocated = announced > ALLOCATED_BYTES ? Buffer.allocUnsafeSlow(announced) : undefined;
    const chunks: Buffer[] = [];
    let size = 0;
    const timer = setTimeout(
      () => refuse(new Refusal("request_timeout", "the request body stopped arriving")),
      IDLE_TIMEOUT_MS,
    );
    const refuse = (refusal: Refusal): void => {
      clearTimeout(timer);
      chunks.length = 0;
      request.off("data", onData).resume();
      reject(refusal);
    };
    const onData = (chunk: Buffer): void => {
      timer.refresh();
      const end = size + chunk.length;
      if (end > maxBytes) return refuse(bodyTooLarge(maxBytes));
      if (!take(chunk.length)) return refuse(bodiesTooLarge());
      if (allocated === undefined) chunks.push(chunk);
      else chunk.copy(allocated, size);
      size = end;
    };
    request.on("data", onData);
    request.on("end", () => {
      clearTimeout(timer);
      resolve(allocated ?? wholeOf(chunks, size));
    });
    // Emitted for a complete request too; making an error for each would cost more than everything else here.
    const onGone = (): void => {
      clearTimeout(timer);
      if (!request.complete) reject(bodyBrokenOff());
    };
    request.on("error", onGone);
    request.on("close", onGone);
  });
}

/** Body in one piece. One that arrives in one piece, as almost all do, is not copied: Node has copied it already. */
function wholeOf(pieces: readonly Buffer[], size: number): Buffer {
  const [first] = pieces;
  return first !== undefined && pieces.length === 1 ? first : Buffer.concat(pieces, size);
}

function bodyBrokenOff(): Refusal {
  return new Refusal("invalid_body", "the request body ended before it was complete");
}

/** 503 for a body that the budget of all bodies has no space for. */
function bodiesTooLarge(): Refusal {
  const message = "the gateway has no memory left for request bodies; try again";
  return new Refusal("overloaded", message, { retryAfter: "1" });
}

/** Maximum number of bytes, and maximum time, for which the rest of a request is read and dropped after its answer. */
const MAX_DROPPED_BYTES = 64 * 1024 ** 2;
const MAX_DROPPED_MS = 5_000;
/** Longest wait for the first byte of a body for which the client got no `100 Continue`: it may never come. */
const MAX_UNASKED_MS = 500;

/**
 * Reads and drops the rest of a request that is already answered. If the connection were closed while the client is still
 * writing, the client would see a broken pipe in place of the answer.
 */
export function drain(request: IncomingMessage, signal: CancelSignal): Promise<void> {
  return new Promise((resolve) => {
    let size = 0;
    const stop = (): void => {
      clearTimeout(timer);
      request.off("data", drop).off("end", stop).off("close", stop);
      signal.removeEventListener("abort", stop);
      resolve();
    };
    const drop = (chunk: Buffer): void => {
      if (size === 0) {
        clearTimeout(timer);
        timer = setTimeout(stop, MAX_DROPPED_MS);
      }
      size += chunk.length;
      if (size > MAX_DROPPED_BYTES) stop();
    };
    let timer = setTimeout(stop, expectsContinue(request) ? MAX_UNASKED_MS : MAX_DROPPED_MS);
    signal.addEventListener("abort", stop);
    request.on("data", drop).on("end", stop).on("close", stop).resume();
    if (signal.aborted || request.destroyed) stop();
  });
}
