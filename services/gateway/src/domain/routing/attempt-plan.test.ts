import { describe, expect, it } from "vitest";
import type { UpstreamFaultKind } from "../ports/upstream.ts";
import { UpstreamFault } from "../ports/upstream.ts";
import { type AttemptOutcome, attemptOutcomeOf } from "./attempt-outcome.ts";
import { AttemptPlan, type Hop } from "./attempt-plan.ts";
import { UpstreamHealth } from "./upstream-health.ts";

const OK = answered(200);

function answered(status: number, retryAfter?: string): AttemptOutcome {
  return attemptOutcomeOf({ status: "fulfilled", value: { status, retryAfter } }, false, 0);
}

function failed(kind: UpstreamFaultKind): AttemptOutcome {
  return attemptOutcomeOf({ status: "rejected", reason: new UpstreamFault(kind, "no") }, false, 0);
}

class Bench {
  nowMs = 0;
  readonly health = new UpstreamHealth(() => this.nowMs);
  readonly #options = { clock: () => this.nowMs, random: () => 0 };

  /** @param names e.g. `a/m`, by groups */
  hops(groups: readonly (readonly string[])[], retries = 0): readonly Hop[] {
    return groups.flatMap((names, group) =>
      names.map((name) => {
        const [provider = "", id = ""] = name.split("/");
        return { health: this.health.of({ provider, id }), retries, group };
      }),
    );
  }

  /** Opens the circuit of a model. */
  open(name: string): void {
    const [provider = "", id = ""] = name.split("/");
    const health = this.health.of({ provider, id });
    for (let failure = 0; failure < 5; failure++) health.end(health.begin(), answered(500));
  }

  /** Runs a request whose attempts end like this, the last one again and again. @returns its attempts and waits */
  run(hops: readonly Hop[], outcomeOf: (name: string, attempt: number) => AttemptOutcome): readonly string[] {
    const plan = new AttemptPlan(hops, this.#options);
    const made: string[] = [];
    let next: { readonly hop: Hop; readonly waitMs: number } | undefined = { hop: plan.first(), waitMs: 0 };
    while (next !== undefined) {
      const { hop, waitMs } = next;
      const name = `${hop.health.provider}/${hop.health.model}`;
      this.nowMs += waitMs;
      made.push(waitMs === 0 ? name : `${waitMs} ms ${name}`);
      plan.begin(hop);
      next = plan.end(outcomeOf(name, made.length));
    }
    return made;
  }
}

describe("AttemptPlan", () => {
  it("goes through the deployments, then those with retries left after a wait, then the fallbacks", () => {
    const bench = new Bench();
    const hops = bench.hops([["a/m", "b/m"], ["c/n"], ["d/o"]], 1);
    const made = bench.run(hops, () => answered(500));
    expect(made).toEqual(["a/m", "b/m", "100 ms a/m", "b/m", "c/n", "100 ms c/n", "d/o", "100 ms d/o"]);
  });

  it.each([
    ["a success", OK],
    ["a fault of the request", answered(400)],
    ["a time-out after it was sent", failed("timeout")],
    ["an upstream that broke off", failed("broken")],
  ])("ends with %s", (_, outcome) => {
    const bench = new Bench();
    expect(bench.run(bench.hops([["a/m"], ["b/m"]], 5), () => outcome)).toEqual(["a/m"]);
  });

  it("waits as long as the upstream asks for, and goes to the next model if that is too long", () => {
    const bench = new Bench();
    const hops = bench.hops([["a/m"], ["b/m"]], 1);
    const made = bench.run(hops, (name, attempt) => {
      if (name === "b/m") return OK;
      return attempt === 1 ? answered(429, "1") : answered(429, "3");
    });
    expect(made).toEqual(["a/m", "1000 ms a/m", "b/m"]);
    expect(bench.run(bench.hops([["a/m"]], 1), () => answered(429, "3"))).toEqual(["a/m"]);
  });

  it("passes over a model whose upstream asked for a wait until that is over", () => {
    const bench = new Bench();
    const hops = bench.hops([["a/m", "b/m"]]);
    bench.run(hops, (name) => (name === "a/m" ? answered(429, "30") : OK));
    expect(bench.run(hops, () => OK)).toEqual(["b/m"]);
    bench.nowMs += 30_000;
    expect(bench.run(hops, () => OK)).toEqual(["a/m"]);
  });

  it("passes over a model whose circuit is open, and calls it again once it has recovered", () => {
    const bench = new Bench();
    const hops = bench.hops([["a/m"], ["b/m"]]);
    const down = (name: string) => (name === "a/m" ? failed("unreachable") : OK);
    const all = Array.from({ length: 8 }, () => bench.run(hops, down));
    expect(all).toEqual([...Array.from({ length: 5 }, () => ["a/m", "b/m"]), ["b/m"], ["b/m"], ["b/m"]]);
    bench.nowMs += 5_000;
    expect(bench.run(hops, () => OK)).toEqual(["a/m"]);
    expect(bench.run(hops, () => OK)).toEqual(["a/m"]);
  });

  it("calls the first model once if all circuits are open: it refuses nothing by itself", () => {
    const bench = new Bench();
    const hops = bench.hops([["a/m"], ["b/m"]], 2);
    for (let request = 0; request < 20; request++) bench.run(hops, () => answered(500));
    expect(bench.run(hops, () => answered(500))).toEqual(["a/m"]);
    expect(bench.run(hops, () => OK)).toEqual(["a/m"]);
  });

  it("makes at most ten attempts", () => {
    const bench = new Bench();
    const hops = bench.hops(Array.from({ length: 20 }, (_, index) => [`p${index}/m`]));
    expect(bench.run(hops, () => answered(500))).toHaveLength(10);
  });

  it("calls a provider where everything is rate-limited 1.1 times for each request and ten times more, however many retries", () => {
    const bench = new Bench();
    const hops = bench.hops([["a/m", "a/n"], ["a/o"]], 5);
    const requests = 1_000;
    let calls = 0;
    let lastMs = 0;
    for (let request = 0; request < requests; request++) {
      calls += bench.run(hops, () => answered(429)).length;
      lastMs = bench.nowMs;
    }
    expect(calls).toBeGreaterThan(requests * 1.09);
    expect(calls).toBeLessThanOrEqual(requests * 1.1 + 10 + lastMs / 10_000);
  });

  it("is not out of budget at one provider because of another", () => {
    const bench = new Bench();
    for (let request = 0; request < 100; request++) bench.run(bench.hops([["a/m"]], 5), () => answered(429));
    const made = bench.run(bench.hops([["a/m"], ["b/m"]], 1), () => answered(429));
    expect(made).toEqual(["a/m", "b/m", "100 ms b/m"]);
  });

  it("knows before each attempt, by retries and hops that are left and available, if another may follow", () => {
    const mayGoOn = (groups: readonly (readonly string[])[], retries: number, ended: readonly string[] = []) => {
      const bench = new Bench();
      for (const name of ended) bench.open(name);
      const plan = new AttemptPlan(bench.hops(groups, retries), { clock: () => 0, random: () => 0 });
      const seen: boolean[] = [];
      for (let hop: Hop | undefined = plan.first(); hop !== undefined; hop = plan.end(answered(500))?.hop) {
        plan.begin(hop);
        seen.push(plan.mayGoOn);
      }
      return seen;
    };
    expect(mayGoOn([["a/m"]], 0)).toEqual([false]);
    expect(mayGoOn([["a/m"]], 1)).toEqual([true, false]);
    expect(mayGoOn([["a/m", "b/m"]], 0)).toEqual([true, false]);
    expect(mayGoOn([["a/m"], ["b/m"]], 0)).toEqual([true, false]);
    expect(mayGoOn([["a/m"], ["b/m"]], 0, ["b/m"])).toEqual([false]);
  });
});
