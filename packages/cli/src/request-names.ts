import { Code, ConnectError } from "@connectrpc/connect";
import type { NodeClient } from "./client.ts";
import type { Output } from "./output/output.ts";
import { fromProtoIdentity } from "./views/identity.ts";
import { MAX_PAGE_SIZE } from "./views/list.ts";
import { fromProtoText } from "./views/values.ts";

/** Names to show beside the ids of requests. */
export interface Names {
  readonly namespace: string | null;
  /** Name of a key; null if it is not known. */
  key(id: string): string | null;
}

/** Maximum number of keys that are read one by one; above it, the whole list is read. */
const MAX_SINGLE_READS = 16;

/**
 * Names of the keys and of the namespace of the credential in use, each looked up once. Names are optional: if they cannot be read, ids
 * alone are shown, with a note, and no further key is looked up.
 */
export class RequestNames implements Names {
  readonly #client: NodeClient;
  readonly #output: Output;
  readonly #keys = new Map<string, string | null>();
  #namespace: Promise<string | null> | undefined;
  #loadedNamespace: string | null = null;
  #isRefused = false;

  constructor(client: NodeClient, output: Output) {
    this.#client = client;
    this.#output = output;
  }

  get namespace(): string | null {
    return this.#loadedNamespace;
  }

  key(id: string): string | null {
    return this.#keys.get(id) ?? null;
  }

  /** Looks up the namespace, and the keys that are not known yet. Never throws. */
  async load(keyIds: readonly string[]): Promise<void> {
    this.#namespace ??= this.#readNamespace();
    const missing = new Set(keyIds.filter((id) => !this.#keys.has(id)));
    const reading = missing.size > MAX_SINGLE_READS ? this.#readList(missing) : this.#readEach(missing);
    [this.#loadedNamespace] = await Promise.all([this.#namespace, reading.catch((error) => this.#refuse(error))]);
  }

  async #readNamespace(): Promise<string | null> {
    return this.#client.identity.whoAmI({}).then(
      (response) => fromProtoIdentity(response).namespace?.name ?? null,
      () => null,
    );
  }

  async #readEach(ids: ReadonlySet<string>): Promise<void> {
    if (this.#isRefused) return;
    await Promise.all(
      Array.from(ids, async (id) => {
        this.#keys.set(id, null);
        const { key } = await this.#client.keys.getKey({ id });
        if (key !== undefined) this.#keys.set(id, fromProtoText(key.name));
      }),
    );
  }

  async #readList(wanted: Set<string>): Promise<void> {
    for (let pageToken = ""; wanted.size > 0 && !this.#isRefused;) {
      const page = await this.#client.keys.listKeys({ pageSize: MAX_PAGE_SIZE, pageToken });
      for (const { id, name } of page.keys) {
        if (wanted.delete(id)) this.#keys.set(id, fromProtoText(name));
      }
      pageToken = page.nextPageToken;
      if (pageToken === "") break;
    }
    for (const id of wanted) this.#keys.set(id, null);
  }

  #refuse(error: unknown): void {
    if (this.#isRefused) return;
    this.#isRefused = true;
    const isForbidden = ConnectError.from(error).code === Code.PermissionDenied;
    this.#output.note(
      isForbidden ? "Names of keys are not shown: they need the scope keys:read." : "Names of keys cannot be read now.",
    );
  }
}

/** Names of all namespaces of a node by id, deleted ones included. If reading fails, the names read so far. */
export async function namespaceNames({ namespaces }: NodeClient): Promise<ReadonlyMap<string, string>> {
  const names = new Map<string, string>();
  try {
    for (let pageToken: string | undefined = ""; pageToken !== undefined;) {
      const page = await namespaces.listNamespaces({ pageSize: MAX_PAGE_SIZE, pageToken, showDeleted: true });
      for (const { id, name } of page.namespaces) names.set(id, name);
      pageToken = page.nextPageToken || undefined;
    }
  } catch {
    // The ids are shown without them.
  }
  return names;
}
