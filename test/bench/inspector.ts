import { eventually } from "@routeplane/testing";
import type { TestNode } from "../harness/node.ts";
import type { CpuProfile } from "./self-times.ts";

export interface Inspector {
  startProfile(): Promise<void>;
  stopProfile(): Promise<CpuProfile>;
}

const SAMPLE_MICROS = 250;

/** Starts the inspector of a process, and connects to it. */
export async function openInspector(node: TestNode, role: string): Promise<Inspector> {
  const pid = await node.pid(role);
  if (pid === undefined) throw new Error(`${role} does not run`);
  process.kill(pid, "SIGUSR1");
  const address = await eventually(async () => /Debugger listening on (ws:\S+)/.exec(await node.log(role))?.[1]);
  const socket = new WebSocket(address);
  const calls = new Map<number, (result: unknown) => void>();
  socket.addEventListener("message", ({ data }) => {
    const { id, result } = JSON.parse(String(data)) as { id: number; result: unknown };
    calls.get(id)?.(result);
  });
  await new Promise((resolve, reject) => {
    socket.addEventListener("open", resolve);
    socket.addEventListener("error", reject);
  });
  let id = 0;
  const call = (method: string, params = {}): Promise<unknown> =>
    new Promise((resolve) => {
      calls.set(++id, resolve);
      socket.send(JSON.stringify({ id, method, params }));
    });
  return {
    async startProfile() {
      await call("Profiler.enable");
      await call("Profiler.setSamplingInterval", { interval: SAMPLE_MICROS });
      await call("Profiler.start");
    },
    async stopProfile() {
      const { profile } = (await call("Profiler.stop")) as { profile: CpuProfile };
      return profile;
    },
  };
}
