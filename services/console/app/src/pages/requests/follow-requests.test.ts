import { create } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { WatchRequestsResponseSchema, type WatchRequestsResponse } from "@routeplane/contracts/usage";
import { expect, test } from "vitest";
import { followRequests, type TailOptions } from "./follow-requests.ts";

/** Message of a stream: ids of requests, and the token after it. */
type Message = readonly [resumeToken: string, ...ids: string[]];

/**
 * Runs a live tail over scripted streams, each of which ends after its messages or with its error. The tail is stopped after the last
 * stream.
 */
async function follow(...streams: readonly (readonly (Message | Code)[])[]) {
  const stop = new AbortController();
  const calls: string[] = [];
  let opened = 0;
  const options: TailOptions = {
    filter: {},
    signal: stop.signal,
    async *watch({ resumeToken = "" }): AsyncIterable<WatchRequestsResponse> {
      const stream = streams[opened++];
      if (stream === undefined) return stop.abort();
      calls.push(`watch from ${resumeToken || "now"}`);
      for (const step of stream) {
        if (typeof step === "number") throw new ConnectError("scripted", step);
        const [token, ...ids] = step;
        yield create(WatchRequestsResponseSchema, { resumeToken: token, requests: ids.map((id) => ({ id })) });
      }
    },
    onStart: () => void calls.push("start"),
    onEnded: (requests) => void calls.push(`ended ${requests.map(({ id }) => id).join(" ")}`),
    onState: ({ at }) => {
      if (calls.at(-1) !== at) calls.push(at);
    },
    pause: async (milliseconds) => void calls.push(`pause ${milliseconds}`),
  };
  await followRequests(options);
  return calls.filter((call) => call !== "live" && call !== "pause 50");
}

test("continues where a stream ended", async () => {
  expect(await follow([["t1"], ["t2", "a", "b"]], [["t2"], ["t3", "c"]])).toEqual([
    "connecting",
    "watch from now",
    "start",
    "ended a b",
    "watch from t2",
    "ended c",
  ]);
});

test("resumes a broken stream after the last message, with pauses that grow to a bound and are reset by a message", async () => {
  const broken = [Code.Unavailable];
  const calls = await follow([["t1", "a"], Code.Unknown], ...Array.from({ length: 5 }, () => broken), [
    ["t2", "b"],
    Code.Aborted,
  ]);
  expect(calls.filter((call) => call.startsWith("pause"))).toEqual([
    "pause 1000",
    "pause 2000",
    "pause 4000",
    "pause 8000",
    "pause 15000",
    "pause 15000",
    "pause 1000",
  ]);
  expect(calls.filter((call) => call === "start")).toHaveLength(1);
  expect(calls.filter((call) => call.startsWith("watch"))).toEqual([
    "watch from now",
    ...Array(6).fill("watch from t1"),
  ]);
});

test("starts again if its token is no longer known", async () => {
  const calls = await follow([["t1", "a"]], [Code.InvalidArgument], [["t9", "b"]]);
  expect(calls.slice(4)).toEqual(["watch from t1", "reconnecting", "pause 1000", "watch from now", "start", "ended b"]);
});

test("stops at an error that a retry cannot fix", async () => {
  expect(await follow([Code.InvalidArgument], [["t1", "a"]])).toEqual(["connecting", "watch from now", "failed"]);
  expect(await follow([["t1"], Code.PermissionDenied], [["t1", "a"]])).not.toContain("ended a");
});

test("makes no call once it is stopped, even in the middle of a stream", async () => {
  const stop = new AbortController();
  const ended: string[] = [];
  const ignore = (): void => undefined;
  await followRequests({
    filter: {},
    signal: stop.signal,
    async *watch() {
      yield create(WatchRequestsResponseSchema, { resumeToken: "t1", requests: [{ id: "a" }] });
      stop.abort();
      yield create(WatchRequestsResponseSchema, { resumeToken: "t2", requests: [{ id: "b" }] });
    },
    onStart: ignore,
    onEnded: (requests) => void ended.push(...requests.map(({ id }) => id)),
    onState: ignore,
    pause: async () => undefined,
  });
  expect(ended).toEqual(["a"]);
});
