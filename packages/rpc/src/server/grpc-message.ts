const NAME = "grpc-message";

/**
 * The body of an answer by gRPC; at its end, what its trailer says of an error is escaped as gRPC has it. The library escapes
 * `:`, `,` and the like too, and grpc-js leaves those escaped: its callers would read of the scope `usage%3Aread`.
 */
export async function* withPlainMessage(body: AsyncIterable<Uint8Array>, trailer: Headers): AsyncIterable<Uint8Array> {
  try {
    yield* body;
  } finally {
    const message = trailer.get(NAME);
    if (message !== null) trailer.set(NAME, escaped(decodeURIComponent(message)));
  }
}

/** Percent-encoded is what is not printable ASCII, and the percent sign itself. */
function escaped(text: string): string {
  return text.replaceAll(/[^\x20-\x24\x26-\x7e]+/g, encodeURIComponent);
}
