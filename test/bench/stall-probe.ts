import { appendFileSync } from "node:fs";

/**
 * Loaded into every process of a node by NODE_OPTIONS: appends to `$ROUTEPLANE_STALLS/<pid>` how long the event loop took for
 * one turn, where that is long. By the thread's own CPU time too, which does not count what others do on a busy machine.
 */

const folder = process.env["ROUTEPLANE_STALLS"];
const LONG_MS = 10;
let lastMs = performance.now();
let lastCpu = process.threadCpuUsage();

setInterval(() => {
  const nowMs = performance.now();
  const cpu = process.threadCpuUsage();
  const cpuMs = (cpu.user + cpu.system - lastCpu.user - lastCpu.system) / 1_000;
  if (folder !== undefined && cpuMs > LONG_MS) {
    appendFileSync(
      `${folder}/${process.pid}`,
      `${JSON.stringify({ at: Date.now(), wallMs: nowMs - lastMs, cpuMs })}\n`,
    );
  }
  lastMs = performance.now();
  lastCpu = process.threadCpuUsage();
}, 1).unref();
