import type { Transport } from "@connectrpc/connect";

/** Transport that sends the token with every call; none if it is empty. */
export function authorized(transport: Transport, token: string): Transport {
  const authorize = (header: ConstructorParameters<typeof Headers>[0]): Headers => {
    const headers = new Headers(header);
    if (token !== "") headers.set("authorization", `Bearer ${token}`);
    return headers;
  };
  return {
    unary: (method, signal, timeoutMs, header, input, contextValues) =>
      transport.unary(method, signal, timeoutMs, authorize(header), input, contextValues),
    stream: (method, signal, timeoutMs, header, input, contextValues) =>
      transport.stream(method, signal, timeoutMs, authorize(header), input, contextValues),
  };
}
