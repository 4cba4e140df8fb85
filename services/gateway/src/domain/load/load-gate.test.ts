import { describe, expect, it } from "vitest";
import { Refusal } from "../errors/refusal.ts";
import { Cancellation } from "../ports/cancel-signal.ts";
import { LoadGate, type LoadGateOptions, type RunningPlace } from "./load-gate.ts";

/** Gate with a clock and turns of the test's own. */
function gateWith(options: LoadGateOptions = {}) {
  let nowMs = 0;
  const callbacks: (() => void)[] = [];
  const loop = { active: 0, idle: 0 };
  const callBack = (callback: () => void): void => void callbacks.push(callback);
  /** Pauses that the gate has asked for. */
  const pauses: number[] = [];
  const afterPause = (callback: () => void, pauseMs: number): void => {
    pauses.push(pauseMs);
    callBack(callback);
  };
  const times = { now: () => nowMs, loopTimes: () => ({ ...loop }), atTurnEnd: callBack, afterPause };
  const gate = new LoadGate({ ...options, ...times });
  /** Requests in the order in which they started, by name. */
  const started: string[] = [];
  /** Codes and names of those that did not. */
  const refused: string[] = [];
  const places = new Map<string, RunningPlace>();
  const refuse = (name: string, error: unknown): void =>
    void refused.push(`${error instanceof Refusal ? error.code : String(error)} ${name}`);
  return {
    gate,
    /** Times of the event loop, which the test sets. */
    loop,
    pauses,
    started,
    refused,
    /** Lets time pass without a turn. */
    pass: (ms: number): void => void (nowMs += ms),
    /** Brings a request of the namespace that its name begins with. */
    enter: (name: string, bodyBytes = 0, signal = new Cancellation()): void => {
      try {
        const place = gate.enter(name.slice(0, 1), bodyBytes, signal);
        places.set(name, place);
        if (place.turn === undefined) started.push(name);
        else
          place.turn.then(
            () => started.push(name),
            (error: unknown) => {
              place.leave();
              refuse(name, error);
            },
          );
      } catch (error) {
        refuse(name, error);
      }
    },
    leave: (name: string): void => places.get(name)?.leave(),
    charge: (name: string, bodyBytes: number): void => places.get(name)?.charge(bodyBytes),
    /** Ends a turn that has taken so long. @returns false if the gate does not wait for its end */
    endTurn: async (turnMs: number): Promise<boolean> => {
      nowMs += turnMs;
      const due = callbacks.splice(0);
      for (const callback of due) callback();
      await Promise.resolve();
      return due.length > 0;
    },
  };
}

function namesOf(namespace: string, count: number): readonly string[] {
  return Array.from({ length: count }, (_, index) => `${namespace}${index}`);
}

describe("a load gate", () => {
  it("lets requests start at once, and asks for nothing more, while there are few in each turn", async () => {
    const { gate, enter, started, endTurn } = gateWith();
    for (let turn = 0; turn < 100; turn++) {
      for (const name of namesOf("a", 8)) enter(name);
      expect(gate.waiting).toBe(0);
      expect(await endTurn(50)).toBe(true);
    }
    expect(started).toHaveLength(800);
    expect(await endTurn(50)).toBe(false);
  });

  it("lets eight small requests start in a turn, or one large one, in the order in which they came", async () => {
    const { gate, enter, started, endTurn } = gateWith();
    const names = namesOf("a", 32);
    for (const [index, name] of names.entries()) enter(name, index === 17 ? 50 << 20 : 1_000);
    const counts = [started.length];
    while (gate.waiting > 0) {
      const before = started.length;
      await endTurn(1);
      counts.push(started.length - before);
    }
    expect(counts).toEqual([8, 8, 2, 8, 6]);
    expect(started).toEqual(names);
  });

  it("starts a request of another namespace in the next turn, however many wait", async () => {
    const { enter, started, refused, endTurn } = gateWith();
    for (const name of namesOf("a", 1_000)) enter(name);
    for (let turn = 0; turn < 50; turn++) {
      enter(`b${turn}`);
      enter(`a-${turn}`);
      expect(started).not.toContain(`b${turn}`);
      await endTurn(20);
      expect(started).toContain(`b${turn}`);
    }
    expect(refused).toEqual([]);
  });

  it("starts four requests of a flood in a turn while another namespace has a few, and eight once it has none", async () => {
    const { enter, started, endTurn, pass } = gateWith();
    for (const name of namesOf("a", 1_000)) enter(name);
    enter("b1");
    const counts: number[] = [];
    for (let turn = 0; turn < 5; turn++) {
      const before = started.length;
      await endTurn(1);
      counts.push(started.length - before);
    }
    expect(started).toContain("b1");
    expect(counts).toEqual([5, 4, 4, 4, 4]);
    pass(2_000);
    const before = started.length;
    await endTurn(1);
    expect(started).toHaveLength(before + 8);
  });

  it("holds a flood back for a namespace with many running requests, because models are slow, and few waiting ones", async () => {
    const { enter, started, endTurn, pass } = gateWith();
    for (let turn = 0; turn < 50; turn++) {
      for (const name of namesOf(`b${turn}-`, 5)) enter(name);
      await endTurn(1);
    }
    expect(started).toHaveLength(250);
    pass(2_000);
    for (const name of namesOf("a", 1_000)) enter(name);
    enter("b");
    const counts: number[] = [];
    for (let turn = 0; turn < 3; turn++) {
      const before = started.length;
      await endTurn(1);
      counts.push(started.length - before);
    }
    expect(counts).toEqual([5, 4, 4]);
  });

  it.each([
    [4, 4],
    [6, 2],
  ])("holds a namespace back for none that sends about as much: %d and %d in a turn", async (ofA, ofB) => {
    const { enter, started, endTurn, loop } = gateWith();
    for (let turn = 0; turn < 500; turn++) {
      for (const name of [...namesOf(`a${turn}-`, ofA), ...namesOf(`b${turn}-`, ofB)]) enter(name);
      await endTurn(1);
    }
    expect(started).toHaveLength(4_000);
    // A pause of the process makes more than eight of both wait.
    for (const name of [...namesOf("a-", 40), ...namesOf("b-", 20)]) enter(name);
    const counts: number[] = [];
    for (let turn = 0; turn < 5; turn++) {
      loop.active += 1;
      enter(`b${turn}`);
      const before = started.length;
      await endTurn(1);
      counts.push(started.length - before);
    }
    expect(counts).toEqual([8, 8, 8, 8, 8]);
  });

  it("starts no request of a flood while spare time is due, except in one turn every 20 ms", async () => {
    const { enter, started, endTurn, loop } = gateWith();
    for (const name of namesOf("a", 1_000)) enter(name);
    enter("b0");
    await endTurn(1);
    for (let turn = 1; turn <= 40; turn++) {
      loop.active += 1;
      if (turn % 2 === 0) enter(`b${turn}`);
      await endTurn(1);
      expect(turn % 2 === 1 || started.includes(`b${turn}`)).toBe(true);
    }
    const ofFlood = started.filter((name) => name.startsWith("a")).length - 12;
    expect(ofFlood).toBe(8);
    loop.idle += 100;
    const before = started.length;
    await endTurn(1);
    await endTurn(1);
    expect(started.length).toBeGreaterThanOrEqual(before + 4);
  });

  it("sleeps while a flood is held back and nothing else waits, and starts no more of it after both a pause and a turn", async () => {
    const { enter, started, endTurn, loop, pauses } = gateWith();
    for (const name of namesOf("a", 100)) enter(name);
    enter("b0");
    await endTurn(1);
    expect(pauses).toEqual([]);
    loop.active += 10;
    await endTurn(1);
    expect(pauses).toEqual([1]);
    loop.idle += 100;
    enter("b1");
    const before = started.length;
    await endTurn(1);
    expect(started.slice(before)).toEqual(["b1", "a12", "a13", "a14", "a15"]);
  });

  it("does not hold two floods back for each other", async () => {
    const { enter, started, endTurn, loop, pass } = gateWith();
    for (const name of [...namesOf("a", 100), ...namesOf("b", 100)]) enter(name);
    pass(2_000);
    enter("a100");
    enter("b100");
    loop.active += 1_000;
    const before = started.length;
    await endTurn(1);
    expect(started).toHaveLength(before + 8);
  });

  it("keeps a fifth of the event loop's time to spare", async () => {
    const { enter, started, endTurn, loop } = gateWith();
    for (const name of namesOf("a", 10_000)) enter(name);
    enter("b0");
    await endTurn(1);
    for (let turn = 0; turn < 1_000; turn++) {
      if (turn % 500 === 0) enter(`b${turn}`);
      const before = started.length;
      await endTurn(1);
      // A start takes 1.4 ms.
      const workedMs = (started.length - before) * 1.4;
      loop.active += workedMs;
      loop.idle += Math.max(0, 1 - workedMs);
    }
    expect(loop.active / (loop.active + loop.idle)).toBeGreaterThan(0.7);
    expect(loop.active / (loop.active + loop.idle)).toBeLessThan(0.85);
  });

  it("does not hold a flood back for itself, nor namespaces with few waiting requests, however many there are", async () => {
    const { enter, started, endTurn, loop } = gateWith();
    for (const name of namesOf("a", 40)) enter(name);
    loop.active += 1_000;
    await endTurn(1);
    expect(started).toHaveLength(16);
    const others = "bcdefghij".split("").flatMap((namespace) => namesOf(namespace, 8));
    for (const name of others) enter(name);
    for (let turn = 0; turn < 9; turn++) {
      loop.active += 1_000;
      await endTurn(1);
    }
    expect(others.filter((name) => !started.includes(name))).toEqual([]);
  });

  it("finds the few requests of others behind hundreds of floods that are held back", async () => {
    const { enter, started, endTurn, loop } = gateWith();
    for (let flood = 0; flood < 300; flood++) {
      for (let count = 0; count < 20; count++) enter(`${String.fromCodePoint(0x4e00 + flood)}${count}`);
    }
    loop.active += 1_000;
    await endTurn(1);
    enter("b1");
    loop.active += 1_000;
    await endTurn(1);
    expect(started).toContain("b1");
  });

  it("gives a namespace with large bodies as much work as others, and not as many requests", async () => {
    const { enter, started, endTurn, pass } = gateWith();
    for (const name of namesOf("a", 100)) enter(name, 1 << 20);
    for (const name of namesOf("b", 1_000)) enter(name);
    pass(2_000);
    for (let turn = 0; turn < 100; turn++) await endTurn(1);
    const ofA = started.filter((name) => name.startsWith("a")).length;
    const ofB = started.filter((name) => name.startsWith("b")).length;
    // 1 MiB is the work of nine small requests.
    expect(ofB / ofA).toBeGreaterThan(6);
    expect(ofB / ofA).toBeLessThan(10);
  });

  it("gives a namespace whose bodies announce no size as much work as others, once their size is known", async () => {
    const { enter, started, charge, endTurn, pass } = gateWith();
    for (const name of namesOf("a", 1_000)) enter(name);
    for (const name of namesOf("b", 1_000)) enter(name);
    pass(2_000);
    const charged = new Set<string>();
    for (let turn = 0; turn < 100; turn++) {
      for (const name of started) {
        if (name.startsWith("a") && !charged.has(name)) charge(name, 1 << 20);
        charged.add(name);
      }
      await endTurn(1);
    }
    const ofA = started.filter((name) => name.startsWith("a")).length;
    expect((started.length - ofA) / ofA).toBeGreaterThan(6);
    expect((started.length - ofA) / ofA).toBeLessThan(11);
  });

  it("charges nothing more for a body that is as long as was announced", async () => {
    const { enter, started, charge, endTurn } = gateWith();
    enter("a1", 512 << 10);
    charge("a1", 512 << 10);
    for (const name of namesOf("b", 8)) enter(name);
    expect(started).toHaveLength(4);
    charge("b0", 3 << 20);
    await endTurn(1);
    expect(started).toHaveLength(9);
  });

  it("does not let a namespace come first again that has no request left and owes for the last one", async () => {
    const { enter, started, leave, endTurn } = gateWith();
    for (const name of namesOf("b", 16)) enter(name);
    enter("a1", 4 << 20);
    await endTurn(1);
    expect(started).toContain("a1");
    enter("b-again");
    leave("a1");
    enter("a2", 4 << 20);
    const endBusyTurn = async (turn: number): Promise<void> => {
      await endTurn(1);
      for (const name of namesOf("b", 8)) enter(`${name}-${turn}`);
    };
    for (let turn = 0; turn < 3; turn++) await endBusyTurn(turn);
    expect(started).not.toContain("a2");
    for (let turn = 3; turn < 9; turn++) await endBusyTurn(turn);
    expect(started).toContain("a2");
  });

  it("keeps a bounded number of namespaces that owe", async () => {
    const { gate, enter, started, leave, endTurn } = gateWith();
    const names = Array.from({ length: 1_200 }, (_, index) => `${String.fromCodePoint(0x4e00 + index)}1`);
    for (const name of namesOf("a", 8)) enter(name);
    for (const name of names) enter(name, 1 << 20);
    for (const name of namesOf("b", 100)) enter(name);
    while (started.length < 8 + names.length) await endTurn(1);
    for (const name of names) leave(name);
    expect(gate.namespaces).toBeGreaterThan(1_000);
    expect(gate.namespaces).toBeLessThanOrEqual(1_024 + 2);
  });

  it("refuses a request that has waited for too long, and still starts the next one", async () => {
    const { gate, enter, started, refused, endTurn } = gateWith({ maxWaitMs: 2_000 });
    for (const name of namesOf("a", 800)) enter(name);
    for (let turn = 0; turn <= 20; turn++) await endTurn(100);
    expect(refused).toEqual([]);
    for (let turn = 1; turn <= 10; turn++) {
      const before = started.length;
      await endTurn(100);
      expect([started.length - before, refused.length]).toEqual([8, 32 * turn]);
    }
    expect(new Set(refused.map((line) => line.split(" ")[0]))).toEqual(new Set(["overloaded"]));
    expect(started.length + refused.length + gate.waiting).toBe(800);
  });

  it("refuses nothing because the machine has stood still", async () => {
    const { gate, enter, refused, endTurn } = gateWith();
    for (const name of namesOf("a", 100)) enter(name);
    await endTurn(1);
    for (let turn = 0; gate.waiting > 0; turn++) {
      enter(`a-${turn}`);
      await endTurn(turn === 1 ? 60_000 : 1);
    }
    expect(refused).toEqual([]);
  });

  it("never refuses or delays a second namespace for the backlog of the first", async () => {
    const { enter, started, refused, endTurn } = gateWith({ maxWaitMs: 1_000 });
    for (let turn = 0; turn < 300; turn++) {
      for (const name of namesOf("a", 20)) enter(`${name}-${turn}`);
      enter(`b${turn}`);
      await endTurn(20);
      expect(started).toContain(`b${turn}`);
    }
    expect(refused.filter((line) => line.includes(" b"))).toEqual([]);
    expect(refused.length).toBeGreaterThan(100);
  });

  it("refuses more running requests than it may have, and keeps places for other namespaces", async () => {
    const { gate, enter, started, refused, leave, endTurn } = gateWith({ maxRunning: 100 });
    for (const name of namesOf("a", 200)) {
      enter(name);
      await endTurn(1);
    }
    expect([started.length, gate.running]).toEqual([50, 50]);
    expect(refused).toContain("overloaded a50");
    for (const name of namesOf("b", 100)) {
      enter(name);
      await endTurn(1);
    }
    expect(started.filter((name) => name.startsWith("b"))).toHaveLength(25);
    enter("c1");
    expect(started).toContain("c1");
    for (const name of started.slice(0)) leave(name);
    expect(gate.running).toBe(0);
    await endTurn(1);
    const before = started.length;
    enter("a-again");
    expect(started).toHaveLength(before + 1);
  });

  it("does not start a request that was cancelled while it waited, nor counts one of them", async () => {
    const { gate, enter, started, refused, endTurn } = gateWith();
    const signal = new Cancellation();
    for (const name of namesOf("a", 16)) enter(name, 0, signal);
    for (const name of namesOf("b", 4)) enter(name);
    signal.abort("client_gone");
    await endTurn(1);
    expect(started.slice(8)).toEqual(namesOf("b", 4));
    await endTurn(1);
    expect(refused).toHaveLength(8);
    expect(refused[0]).toMatch(/cancelled/);
    expect([gate.waiting, gate.running]).toEqual([0, 12]);
  });
});
