import { Agent, request as httpRequest } from "node:http";
import { setTimeout as delay } from "node:timers/promises";

/** A request that failed: it got no answer, or one other than 200. */
export interface Failure {
  /** Time at which it was sent and at which it failed, in milliseconds of the monotonic clock. */
  readonly sentAt: number;
  readonly failedAt: number;
  readonly path: string;
  readonly reason: string;
}

/**
 * Load at a constant rate, by stock clients that keep their connections alive, with a bound on the requests that run at a time, so that a
 * busy machine gets fewer requests, not more than it can serve. Every failed request is counted.
 */
export interface Load {
  readonly sent: number;
  readonly failures: readonly Failure[];
  /** Longest wait for an answer, in milliseconds. */
  readonly slowestMs: number;
  /** Requests per second that were sent so far. */
  readonly rate: number;
  /** Stops sending. Resolves once every request has its answer. */
  stop(): Promise<void>;
}

export interface LoadOptions {
  /** Addresses of the requests, used in turn; read for every request. */
  readonly urls: () => readonly string[];
  readonly perSecond: number;
  /** Maximum number of requests that run at a time. */
  readonly maxRunning: number;
  /** Request number n. */
  readonly request: (n: number) => Call;
}

export interface Call {
  readonly path: string;
  readonly token: string;
  readonly body: unknown;
}

export interface Answer {
  readonly status: number;
  readonly text: string;
  /** Header `connection`. */
  readonly connection: string | undefined;
}

/** Clients that take turns. Each keeps its connections, so that together they reach every gateway. */
const CLIENTS = 16;
const TIMEOUT_MS = 20_000;
const TICK_MS = 20;

export function startLoad({ urls, perSecond, maxRunning, request }: LoadOptions): Load {
  const failures: Failure[] = [];
  const running = new Set<Promise<void>>();
  const clients = Array.from({ length: CLIENTS }, () => new Agent({ keepAlive: true }));
  const startedAt = performance.now();
  const state = { sent: 0, slowestMs: 0, stoppedAt: 0 };
  const send = async (n: number): Promise<void> => {
    const sentAt = performance.now();
    const call = request(n);
    const targets = urls();
    try {
      const { status, text } = await post(targets[n % targets.length] ?? "", call, clients[n % CLIENTS]);
      if (status !== 200) throw new Error(`${status} ${text}`);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      failures.push({ sentAt, failedAt: performance.now(), path: call.path, reason });
    }
    state.slowestMs = Math.max(state.slowestMs, performance.now() - sentAt);
  };
  const run = async (): Promise<void> => {
    let due = 0;
    for (let before = startedAt; state.stoppedAt === 0;) {
      const now = performance.now();
      due = Math.min(due + ((now - before) / 1_000) * perSecond, perSecond);
      before = now;
      for (; due >= 1 && running.size < maxRunning; due--) {
        const sending = send(state.sent++);
        running.add(sending);
        void sending.finally(() => running.delete(sending));
      }
      await delay(TICK_MS);
    }
  };
  const sending = run();
  return {
    get sent() {
      return state.sent;
    },
    failures,
    get slowestMs() {
      return state.slowestMs;
    },
    get rate() {
      return (state.sent * 1_000) / ((state.stoppedAt || performance.now()) - startedAt);
    },
    async stop() {
      state.stoppedAt = performance.now();
      await sending;
      await Promise.all(running);
      for (const client of clients) client.destroy();
    },
  };
}

/** Sends one request, on a kept connection of the agent if it has one. Rejects if it gets no whole answer. */
export function post(url: string, { path, token, body }: Call, agent?: Agent): Promise<Answer> {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  const sent = httpRequest(new URL(path, url), {
    method: "POST",
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    signal: AbortSignal.timeout(TIMEOUT_MS),
    ...(agent && { agent }),
  });
  sent.on("response", (response) => {
    let text = "";
    response.setEncoding("utf8").on("data", (piece: string) => (text += piece));
    const { statusCode: status = 0, headers } = response;
    response.on("end", () => resolve({ status, text, connection: headers.connection }));
    response.on("error", reject);
  });
  sent.on("error", reject).end(JSON.stringify(body));
  return promise;
}

/** A small inference request to the local model. */
export function chat(token: string): Call {
  const messages = [{ role: "user", content: "hello" }];
  return { path: "/v1/chat/completions", token, body: { model: "echo", max_tokens: 8, messages } };
}

/** A cheap call of each service that the gateway relays. */
export function read(service: "auth" | "policy" | "usage", token: string): Call {
  const method = {
    auth: "IdentityService/WhoAmI",
    policy: "PolicyService/ListPolicies",
    usage: "UsageService/GetUsage",
  };
  return { path: `/routeplane.${service}.v1.${method[service]}`, token, body: {} };
}

/** A call that the gateway relays to the auth service. */
export function whoAmI(token: string): Call {
  return read("auth", token);
}

/** A relayed call that is not idempotent. */
export function mint(token: string, name: string): Call {
  return { path: "/routeplane.auth.v1.KeyService/MintKey", token, body: { name, scopes: ["inference:invoke"] } };
}

/** Deadline of a call to another service, 2 s, minus the time by which timers fire early. */
const CALL_DEADLINE_MS = 1_900;

/** True if a request failed earlier than by the deadline of a call, by which requests fail on a machine that is too busy. */
export function isEarly({ sentAt, failedAt }: Pick<Failure, "sentAt" | "failedAt">): boolean {
  return failedAt - sentAt < CALL_DEADLINE_MS;
}

/** Seconds from the first to the last failed request; 0 if there is none. */
export function secondsOf(failures: readonly Failure[]): number {
  if (failures.length === 0) return 0;
  const from = Math.min(...failures.map(({ sentAt }) => sentAt));
  return (Math.max(...failures.map(({ sentAt }) => sentAt)) - from) / 1_000;
}
