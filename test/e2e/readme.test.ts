import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { CHECKOUT } from "@routeplane/standalone";
import { eventually } from "@routeplane/testing";
import { afterAll, beforeAll, expect, it } from "vitest";
import { startNode, type TestNode } from "../harness/index.ts";

/** Tests that the README's commands work as written, against a node on another port. */

let node: TestNode;
beforeAll(async () => {
  node = await startNode();
});
afterAll(() => node.remove());

const readme = await readFile(join(CHECKOUT, "README.md"), "utf8");
const blocks = blocksOf(readme);

function blocksOf(document: string): readonly string[] {
  return [...document.matchAll(/^```sh\n(.*?)^```/gms)].map(([, block = ""]) => block);
}

/** Commands of a block, one a line unless a backslash continues it. */
function linesOf(block: string): readonly string[] {
  return block.trim().split(/(?<!\\)\n/);
}

/** Runs a block in the checkout with a shell. */
async function shell(block: string): Promise<string> {
  const here = block.replaceAll("http://127.0.0.1:8080", node.url).replaceAll(".routeplane/", `${node.home}/`);
  const environment = {
    PATH: `${dirname(process.execPath)}:${process.env["PATH"]}`,
    HOME: process.env["HOME"],
    ROUTEPLANE_HOME: node.home,
  };
  const { stdout } = await promisify(execFile)("bash", ["-euo", "pipefail", "-c", here], {
    cwd: CHECKOUT,
    env: environment,
  });
  return stdout;
}

it("the first screen has the purpose, npm start, the first request and npm test", () => {
  const firstScreen = readme.split("\n").slice(0, 32).join("\n");
  const order = ["# Routeplane", "npm start", "/v1/chat/completions", "npm test"].map((text) =>
    firstScreen.indexOf(text),
  );
  expect(order).not.toContain(-1);
  expect(order).toEqual(order.toSorted((left, right) => left - right));
});

it("the first request is answered, and is in the request log", async () => {
  const request = blocks.find((block) => block.startsWith("curl"));
  const output = await shell(request!);
  expect(output).toContain('"content":"hello"');
  const logged = async () => JSON.parse(await shell("npx routeplane cloud requests --json")).data;
  await eventually(async () => (await logged()).some(({ model }: { model: string }) => model === "echo"));
});

it("every command of the command-line section works", async () => {
  const commands = blocks.find((block) => block.startsWith("npx")) ?? "";
  const lines = linesOf(commands);
  expect(lines.length).toBeGreaterThan(5);
  for (const line of lines) await shell(line);
});

it.each(["docs/llms.txt", "docs/reference/README.md"])("every command of %s works", async (path) => {
  const commands = blocksOf(await readFile(join(CHECKOUT, path), "utf8"));
  expect(commands).not.toEqual([]);
  for (const block of commands) for (const line of linesOf(block)) expect(await shell(line)).not.toBe("");
});

it("every npm script in it exists", async () => {
  const { scripts } = JSON.parse(await readFile(join(CHECKOUT, "package.json"), "utf8"));
  const named = [...readme.matchAll(/npm (?:run )?([a-z][a-z:]*)/g)].map(([, name]) => name);
  for (const name of new Set(named)) expect(scripts).toHaveProperty([name!]);
});
