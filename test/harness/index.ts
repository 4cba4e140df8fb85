/**
 * Harness of the end-to-end tests. They run what users run: the node that `npm start` starts, as processes, in a home of its own on
 * a free port, and the real command line on it.
 *
 *     const node = await startNode();                  // or {gateways: 2}, {environment: {…}}, {home: earlier.home}
 *     afterAll(() => node.remove());                   // stops it and removes its home
 *     const { exitCode, stdout, stderr } = await node.cli(["cloud", "keys", "list", "--json"]);
 *     await node.cli(["cloud", "whoami"], { environment: { ROUTEPLANE_API_KEY: token } });
 *     await fetch(`${node.url}/v1/models`, { headers: { authorization: `Bearer ${await node.apiKey()}` } });
 *     await runCliProcess(node.home, ["cloud", "whoami"]);    // as a process of its own: 0.3 s of CPU, for what only that shows
 *     await node.kill("aggregator");                   // kill -9; resolves when it is back under another pid
 *     await node.stop();                               // as Ctrl-C does; then `startNode({home: node.home})` starts it again
 *
 * A start takes 3 s, in a home whose schemas are migrated already (one of `newHome` is empty): one node per file (top-level await or
 * `beforeAll`), and namespaces or keys per test. Nodes of files that run at the same time share no process and no data. Poll with
 * `eventually` of @routeplane/testing; never sleep.
 */
export { type CommandResult, runCli, runCliProcess, runNpmStart, runUp } from "./commands.ts";
export { childrenOf, isAlive, killAll, parentOf, processesOf } from "./processes.ts";
export { newHome, startNode, type TestNode } from "./node.ts";
