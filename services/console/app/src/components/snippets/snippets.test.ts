import { execFileSync } from "node:child_process";
import { expect, test } from "vitest";
import { snippetsFor } from "./snippets.ts";

const HOSTILE = `it's "$(id)" \`id\` \\ $HOME\n<b>`;

function codeOf(id: string, model: string): string {
  return snippetsFor("https://node.example/", model).find((snippet) => snippet.id === id)?.code ?? "";
}

/** Arguments that a shell gives to a program which the snippet runs, and variables that it exports. */
function runInShell(program: string, code: string): readonly string[] {
  const script = `${program}() { printf '%s\\0' "$ANTHROPIC_BASE_URL" "$ANTHROPIC_AUTH_TOKEN" "$@"; }\n${code}`;
  const env = { ROUTEPLANE_API_KEY: "rp_live_a_b_c", HOME: "/home/nobody" };
  return execFileSync("/bin/sh", ["-c", script], { env }).toString().split("\0").slice(0, -1);
}

test("calls the address of the node with the token of the environment, whatever characters the model's name has", () => {
  const [, , url, , authorization, , , , body = ""] = runInShell("curl", codeOf("curl", HOSTILE));
  expect(url).toBe("https://node.example/v1/chat/completions");
  expect(authorization).toBe("Authorization: Bearer rp_live_a_b_c");
  expect(JSON.parse(body)).toEqual({ model: HOSTILE, messages: [{ role: "user", content: "Hello" }] });
});

test("starts Claude Code on the node, whatever characters the model's name has", () => {
  const started = runInShell("claude", codeOf("claude-code", HOSTILE));
  expect(started).toEqual(["https://node.example", "rp_live_a_b_c", "--model", HOSTILE]);
});

test("writes addresses and models as string literals of the program's language", () => {
  for (const id of ["openai-js", "openai-python", "anthropic"]) {
    expect(codeOf(id, HOSTILE)).toContain(JSON.stringify(HOSTILE));
  }
  expect(codeOf("openai-js", "m")).toContain('"https://node.example/v1"');
  expect(codeOf("openai-python", "m")).toContain('"https://node.example/v1"');
  expect(codeOf("anthropic", "m")).toContain('"https://node.example"');
});
