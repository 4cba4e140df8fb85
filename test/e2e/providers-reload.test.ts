import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { eventually } from "@routeplane/testing";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type FakeProvider, sendJson, startFakeProvider } from "../../services/gateway/test/fake-provider.ts";
import { chatBody, openAiClient, settledRow } from "../harness/gateway.ts";
import { startNode, type TestNode } from "../harness/index.ts";

/** Tests of SIGHUP on a running node, whose gateways load their providers file again. */

const USAGE = { prompt_tokens: 5, completion_tokens: 2, total_tokens: 7 };
const chunk = (more: object): string => `data: ${JSON.stringify(more)}\n\n`;

let folder: string;
let provider: FakeProvider;
let node: TestNode;
const held = Promise.withResolvers<void>();

/** Providers file of one provider with these models, each at 1 USD per million tokens of input. */
const fileOf = (models: readonly string[], more = ""): string =>
  `providers:
  - name: here
    protocol: openai
    base_url: ${provider.baseUrl}
    api_key_file: key
    models:
${models.map((id) => `      - {id: ${id}, price: {input_usd_per_mtok: 1, output_usd_per_mtok: 2}}\n`).join("")}${more}`;

const write = (name: string, text: string): Promise<void> => writeFile(join(folder, name), text);

async function modelsAt(url: string): Promise<readonly string[]> {
  const { data } = await openAiClient({ url }, await node.apiKey()).models.list();
  return data.map(({ id }) => id).filter((id) => id !== "echo");
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "routeplane-reload-"));
  provider = await startFakeProvider(async (response, { body, headers }) => {
    if (!body.includes('"stream":true')) {
      const message = { role: "assistant", content: headers.authorization };
      return sendJson(response, 200, { choices: [{ index: 0, message, finish_reason: "stop" }], usage: USAGE });
    }
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.write(chunk({ choices: [{ index: 0, delta: { content: "begun" } }] }));
    await held.promise;
    response.write(chunk({ choices: [{ index: 0, delta: {}, finish_reason: "stop" }] }));
    response.end(`${chunk({ choices: [], usage: USAGE })}data: [DONE]\n\n`);
  });
  await write("key", "sk-the-first-key\n");
  await write("providers.yaml", fileOf(["first", "second"]));
  node = await startNode({ gateways: 2, environment: { ROUTEPLANE_PROVIDERS: join(folder, "providers.yaml") } });
});
afterAll(async () => {
  await node?.remove();
  await provider?.close();
  await rm(folder, { recursive: true, force: true });
});

it("SIGHUP to the node: its gateways serve what the file says, and running requests end as they began", async () => {
  const client = openAiClient(node, await node.apiKey());
  const { data: stream, response } = await client.chat.completions
    .create(chatBody("hi", "first", { stream: true as const }))
    .withResponse();
  const chunks = stream[Symbol.asyncIterator]();
  expect((await chunks.next()).value?.choices[0]?.delta.content).toBe("begun");

  await write("key", "sk-the-second-key\n");
  await write("providers.yaml", fileOf(["third"]));
  process.kill(node.supervisorPid, "SIGHUP");
  for (const url of node.urls) await eventually(async () => (await modelsAt(url)).join() === "third");
  expect(node.stderr()).toContain("SIGHUP: the gateways load their providers again");
  const log = await eventually(async () => (await node.log("gateway-2")).match(/^.*providers reloaded.*$/m)?.[0]);
  expect(JSON.parse(log)).toMatchObject({
    added: ["here/third"],
    removed: ["here/first", "here/second"],
    changed: ["here"],
  });
  expect(log).not.toContain("sk-the");

  await expect(client.chat.completions.create(chatBody("hi", "first"))).rejects.toMatchObject({ status: 404 });
  await client.chat.completions.create(chatBody("hi", "third"));
  expect(provider.requests.at(-1)?.headers.authorization).toBe("Bearer sk-the-second-key");

  held.resolve();
  while ((await chunks.next()).done !== true);
  const row = await settledRow(node, response.headers.get("x-request-id"));
  expect(row).toMatchObject({ status: "succeeded", model: "first", cost_micro_usd: 9, estimated: false });
});

it("SIGHUP to one gateway with a faulty file: it is refused with the faulty line, and nothing changes", async () => {
  // Each gateway notices by itself that the key was replaced before, and loads the file once more.
  for (const role of ["gateway", "gateway-2"])
    await eventually(async () => (await node.log(role)).includes("secret replaced"));
  const pid = (await node.pid("gateway")) ?? 0;
  const before = await modelsAt(node.url);
  await write("providers.yaml", fileOf(["fourth"], "    time_outs: {}\n"));
  process.kill(pid, "SIGHUP");
  const line = await eventually(
    async () => (await node.log("gateway")).match(/^.*reloading providers failed.*$/m)?.[0],
  );
  expect(JSON.parse(line)).toMatchObject({
    level: "error",
    fault: expect.stringMatching(/providers\.yaml:8: .*time_outs/) as string,
  });
  expect(await modelsAt(node.url)).toEqual(before);
  expect(await node.pid("gateway")).toBe(pid);

  await write("providers.yaml", fileOf(["fifth"]));
  process.kill(pid, "SIGHUP");
  await eventually(async () => (await modelsAt(node.url)).join() === "fifth");
  expect(await modelsAt(node.urls[1] ?? "")).toEqual(before);
  expect(await node.log("gateway-2")).not.toContain("reloading providers failed");
  expect(await readFile(join(node.home, "run/gateway.pid"), "utf8")).toBe(`${pid}\n`);
});
