import { appendFileSync } from "node:fs";
import { isMainThread } from "node:worker_threads";

/**
 * Probe that NODE_OPTIONS loads into every process of a node. Appends each long turn of the event loop to
 * `$ROUTEPLANE_STALLS/<pid>`, with its duration and the CPU time of the thread, which other load on the machine does not affect. Other threads of a process are left out: they have event loops of their own.
 */

const folder = process.env["ROUTEPLANE_STALLS"];
const LONG_MS = 10;
let lastMs = performance.now();
let lastCpu = process.threadCpuUsage();

setInterval(() => {
  const nowMs = performance.now();
  const cpu = process.threadCpuUsage();
  const cpuMs = (cpu.user + cpu.system - lastCpu.user - lastCpu.system) / 1_000;
  if (folder !== undefined && isMainThread && cpuMs > LONG_MS) {
    appendFileSync(
      `${folder}/${process.pid}`,
      `${JSON.stringify({ at: Date.now(), wallMs: nowMs - lastMs, cpuMs })}\n`,
    );
  }
  lastMs = performance.now();
  lastCpu = process.threadCpuUsage();
}, 1).unref();
