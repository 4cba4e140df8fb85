import { describe, expect, it } from "vitest";
import { Circuit } from "./circuit.ts";

/** Makes calls that end at once. */
function call(circuit: Circuit, isHealthy: boolean | undefined, nowMs: number, times = 1): void {
  for (let made = 0; made < times; made++) circuit.end(circuit.begin(nowMs), isHealthy, nowMs);
}

function opened(nowMs = 0): Circuit {
  const circuit = new Circuit();
  call(circuit, false, nowMs, 5);
  return circuit;
}

describe("Circuit", () => {
  it("opens at five failures within 30 s, not at four, nor at five that are further apart", () => {
    const circuit = new Circuit();
    call(circuit, false, 0, 4);
    expect(circuit.isOpen(0)).toBe(false);
    call(circuit, false, 31_000, 4);
    expect(circuit.isOpen(31_000)).toBe(false);
    call(circuit, false, 32_000);
    expect(circuit.isOpen(32_000)).toBe(true);
  });

  it("stays closed while less than half of the calls fail", () => {
    const circuit = new Circuit();
    call(circuit, true, 0, 51);
    call(circuit, false, 0, 50);
    expect(circuit.isOpen(0)).toBe(false);
    call(circuit, false, 0);
    expect(circuit.isOpen(0)).toBe(true);
  });

  it("does not count a call that says nothing about the model", () => {
    const circuit = new Circuit();
    call(circuit, undefined, 0, 100);
    expect(circuit.isOpen(0)).toBe(false);
  });

  it("lets one probe pass after 5 s, and closes by its success", () => {
    const circuit = opened();
    expect(circuit.isOpen(4_999)).toBe(true);
    expect(circuit.isOpen(5_000)).toBe(false);
    const probe = circuit.begin(5_000);
    expect(circuit.isOpen(5_000)).toBe(true);
    circuit.end(probe, true, 5_100);
    expect(circuit.isOpen(5_100)).toBe(false);
    call(circuit, false, 5_100, 4);
    expect(circuit.isOpen(5_100)).toBe(false);
  });

  it("opens for twice as long after each failed probe, for a minute at most", () => {
    const circuit = opened();
    let nowMs = 5_000;
    for (const openMs of [10_000, 20_000, 40_000, 60_000, 60_000]) {
      call(circuit, false, nowMs);
      expect(circuit.isOpen(nowMs + openMs - 1)).toBe(true);
      expect(circuit.isOpen(nowMs + openMs)).toBe(false);
      nowMs += openMs;
    }
  });

  it("lets the next call probe after a probe that was cancelled", () => {
    const circuit = opened();
    call(circuit, undefined, 5_000);
    expect(circuit.isOpen(5_000)).toBe(false);
  });

  it("closes by the success of a call that was made although it is open", () => {
    const circuit = opened();
    call(circuit, false, 100);
    expect(circuit.isOpen(5_000)).toBe(false);
    call(circuit, true, 200);
    expect(circuit.isOpen(200)).toBe(false);
  });

  it("ignores the end of a call from before it opened", () => {
    const circuit = new Circuit();
    const slow = circuit.begin(0);
    call(circuit, false, 0, 5);
    circuit.end(slow, true, 100);
    expect(circuit.isOpen(100)).toBe(true);
  });
});
