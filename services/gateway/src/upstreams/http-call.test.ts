import { once } from "node:events";
import type { Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { eventually } from "@routeplane/testing";
import { Pool } from "undici";
import { afterEach, describe, expect, it } from "vitest";
import { type Answer, type FakeProvider, startFakeProvider } from "../../test/fake-provider.ts";
import { collect } from "../domain/response/answer-body.ts";
import { sendHttpCall } from "./http-call.ts";

const opened: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const each of opened.splice(0).toReversed()) await each.close();
});

async function open(answer: Answer, connections = 1) {
  const sockets = new Set<Socket>();
  const server: FakeProvider = await startFakeProvider((response, received) => {
    sockets.add(response.req.socket);
    return answer(response, received);
  });
  const pool = new Pool(new URL(server.baseUrl).origin, { connections });
  opened.push(server, { close: () => pool.destroy() });
  const send = (signal = new AbortController().signal, path = "/v1", isReadWhole = false) =>
    sendHttpCall(pool, { method: "POST", path, body: "{}" }, { signal, isReadWhole });
  return { server, sockets, send };
}

describe("an answer that is discarded", () => {
  it("leaves its connection to the next request if it ends in a moment", async () => {
    let isEnded = false;
    const { server, sockets, send } = await open((response) => {
      if (isEnded) return void response.end("again");
      response.write("first");
      setTimeout(() => response.end("last", () => (isEnded = true)), 20);
    });
    const first = await send();
    first.discard();
    await eventually(() => isEnded);
    expect((await collect((await send()).body, 100)).toString()).toBe("again");
    expect(sockets.size).toBe(1);
    expect(server.requests[0]?.aborted).toBe(false);
  });

  it("is ended with its connection if it goes on, with pieces or without", async () => {
    for (const everyMs of [5, 60_000]) {
      const { server, send } = await open((response) => {
        response.write("first");
        const timer = setInterval(() => response.write("x".repeat(1_000)), everyMs);
        response.on("close", () => clearInterval(timer));
      });
      const answer = await send();
      answer.discard();
      await eventually(() => server.requests[0]?.aborted);
    }
  });
});

it.each([true, false])(
  "an error is returned at its head, although its body does not come: read whole %s",
  async (isReadWhole) => {
    for (const headers of [{ "content-length": "10" }, {}]) {
      const { send } = await open((response) => response.writeHead(503, headers).flushHeaders());
      const answer = await send(undefined, "/v1", isReadWhole);
      expect([answer.status, answer.whole]).toEqual([503, undefined]);
      answer.discard();
    }
  },
);

describe("a body that is read whole", () => {
  const sendWhole = async (answer: Answer) => (await open(answer)).send(undefined, "/v1", true);

  it("is there at once if it is small, also without an announced size", async () => {
    const { whole } = await sendWhole((response) => {
      response.write("first");
      setTimeout(() => response.end(" last"), 20);
    });
    expect(whole?.toString()).toBe("first last");
  });

  it("is read in pieces if it is large, and its head is returned before its end", async () => {
    const { promise: isTold, resolve: tell } = Promise.withResolvers<void>();
    const answer = await sendWhole((response) => {
      response.write("x".repeat(40_000));
      void isTold.then(() => response.end("last"));
    });
    expect(answer.whole).toBeUndefined();
    tell();
    expect((await collect(answer.body, 100_000)).toString()).toBe(`${"x".repeat(40_000)}last`);
  });

  it("is a fault where it breaks off", async () => {
    const answer = await sendWhole((response) => {
      response.write("first");
      setTimeout(() => response.destroy(), 20);
    });
    expect(answer.whole).toBeUndefined();
    expect((await answer.body[Symbol.asyncIterator]().next()).value?.toString()).toBe("first");
    await expect(collect(answer.body, 100)).rejects.toMatchObject({ kind: "broken" });
  });
});

describe("a body", () => {
  it("is sent no faster than it is read, and arrives whole", async () => {
    const [pieces, piece] = [64, Buffer.alloc(1 << 20, "x")];
    let written = 0;
    const { send } = await open(async (response) => {
      for (; written < pieces; written++) if (!response.write(piece)) await once(response, "drain");
      response.end();
    });
    const { body } = await send();
    for (let before = -1; before !== written; await delay(200)) before = written;
    expect(written).toBeLessThan(pieces);
    expect(await collect(body, pieces * piece.length)).toHaveLength(pieces * piece.length);
  });

  it("breaks off for its reader, whether the reader waits or comes later", async () => {
    const { send } = await open((response) => {
      response.writeHead(200, { "content-length": "100" }).write("some");
      setTimeout(() => response.destroy(), 20);
    }, 2);
    const [waiting, late] = [await send(), await send()];
    await expect(collect(waiting.body, 1_000)).rejects.toMatchObject({ kind: "broken", isSent: true });
    await delay(50);
    await expect(collect(late.body, 1_000)).rejects.toMatchObject({ kind: "broken", isSent: true });
  });
});

describe("a request", () => {
  it("that is cancelled while it waits for a connection ends at once, and is never sent", async () => {
    const { server, send } = await open(() => {});
    const running = new AbortController();
    const first = send(running.signal, "/first");
    await eventually(() => server.requests.length === 1);
    const queued = new AbortController();
    const second = send(queued.signal, "/second");
    queued.abort(new Error("gone"));
    await expect(second).rejects.toMatchObject({ kind: "unreachable", isSent: false });
    running.abort(new Error("gone"));
    await expect(first).rejects.toMatchObject({ kind: "broken", isSent: true });
    const third = send(undefined, "/third");
    third.catch(() => {});
    await eventually(() => server.requests.length === 2);
    expect(server.requests.map(({ path }) => path)).toEqual(["/first", "/third"]);
  });
});

describe("a small answer whose size is announced", () => {
  const small = "x".repeat(1_000);

  it("arrives with its body, which can also be read piece by piece", async () => {
    const { send } = await open((response) => {
      response.writeHead(200, { "content-length": "1000" }).write(small.slice(0, 400));
      setTimeout(() => response.end(small.slice(400)), 20);
    });
    const answer = await send();
    expect(answer.whole?.toString()).toBe(small);
    expect((await collect(answer.body, 10_000)).toString()).toBe(small);
    expect((await send()).whole).toHaveLength(1_000);
  });

  it("is left to its reader if it is large, or its size is not announced", async () => {
    for (const head of [{ "content-length": "100000" }, {}]) {
      const { send } = await open((response) => {
        response.writeHead(200, head).write(small);
        setTimeout(() => response.end("x".repeat(99_000)), 200);
      });
      const answer = await send();
      expect(answer.whole).toBe(undefined);
      expect(await collect(answer.body, 1_000_000)).toHaveLength(100_000);
      expect(answer.whole).toBe(undefined);
    }
  });

  it.each([200, 429])("has its status %i if its body breaks off", async (status) => {
    const { send } = await open((response) => {
      response.writeHead(status, { "content-length": "1000" }).write("some");
      setTimeout(() => response.destroy(), 20);
    });
    const answer = await send();
    expect(answer).toMatchObject({ status, whole: undefined });
    await expect(collect(answer.body, 1_000)).rejects.toMatchObject({ kind: "broken" });
  });

  it("ends at once if the call is cancelled before its body has arrived", async () => {
    const { server, send } = await open((response) => {
      response.writeHead(200, { "content-length": "1000" }).write("some");
    });
    const controller = new AbortController();
    const answer = send(controller.signal).then(({ body }) => collect(body, 1_000));
    await eventually(() => server.requests.length === 1);
    controller.abort("client_gone");
    await expect(answer).rejects.toMatchObject({ name: "UpstreamFault" });
    await eventually(() => server.requests[0]?.aborted);
  });
});
