import { once } from "node:events";
import { createServer } from "node:net";
import { expect, it, onTestFinished } from "vitest";
import { assertPortsFree, reservePorts } from "./ports.ts";

it("reserves each port for one holder", async () => {
  const reservations = await Promise.all(Array.from({ length: 20 }, () => reservePorts(5)));
  onTestFinished(() => reservations.forEach(({ release }) => release()));
  const ports = reservations.flatMap(({ ports: reserved }) => reserved);
  expect(new Set(ports).size).toBe(100);
});

it("reserves consecutive ports if `adjacent` is set", async () => {
  const { ports, release } = await reservePorts(3, true);
  onTestFinished(release);
  expect(ports).toEqual([ports[0], ports[0]! + 1, ports[0]! + 2]);
});

it("names the port that is in use, also on all addresses", async () => {
  const { ports, release } = await reservePorts(1);
  onTestFinished(release);
  const server = createServer().listen(ports[0], "0.0.0.0");
  onTestFinished(() => void server.close());
  await once(server, "listening");
  await expect(assertPortsFree(ports)).rejects.toThrow(`port ${ports[0]} is in use`);
});

it("names a port beyond the last one", async () => {
  await expect(assertPortsFree([65_536])).rejects.toThrow("port 65536 does not exist");
});
