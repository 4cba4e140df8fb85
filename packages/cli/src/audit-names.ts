import type { AuditEntry } from "@routeplane/contracts/audit";
import type { Session } from "@routeplane/contracts/auth";
import type { NodeClient } from "./client.ts";
import { MAX_PAGE_SIZE } from "./views/list.ts";

/** Names to show beside the ids of an audit log. */
export interface EntryNames {
  /** Name of a key, a policy, a namespace or a session; null if it is not known. */
  of(id: string): string | null;
}

/**
 * Name of a session in an audit log: `console of` and the name of the credential that opened it. The plain name would mean a change by the
 * credential itself.
 */
function nameOfSession(session: Session | undefined): string {
  return `console of ${session?.name ?? ""}`;
}

/** Maximum number of resources of one kind that are read one by one; above it, the whole list is read. */
const MAX_SINGLE_READS = 16;

/** Reads of the names of one kind of resource. */
interface NameReads {
  /** Prefix of ids, with its underscore. */
  readonly prefix: string;
  one(id: string): Promise<string | undefined>;
  page(pageToken: string): Promise<{ readonly names: readonly (readonly [string, string])[]; readonly next: string }>;
}

/**
 * Current names of the keys, policies, namespaces and sessions in an audit log, each looked up once; for a deleted one, the name in its
 * entry. Names are optional: if one cannot be read, ids alone are shown and no further name of its kind is looked up.
 */
export class AuditNames implements EntryNames {
  readonly #reads: readonly NameReads[];
  readonly #names = new Map<string, string | null>();
  readonly #unreadable = new Set<NameReads>();

  constructor({ keys, policies, namespaces, sessions }: NodeClient) {
    this.#reads = [
      {
        prefix: "key_",
        one: async (id) => (await keys.getKey({ id })).key?.name,
        async page(pageToken) {
          const read = await keys.listKeys({ pageSize: MAX_PAGE_SIZE, pageToken });
          return { names: read.keys.map(({ id, name }) => [id, name]), next: read.nextPageToken };
        },
      },
      {
        prefix: "pol_",
        one: async (id) => (await policies.getPolicy({ id })).policy?.name,
        async page(pageToken) {
          const read = await policies.listPolicies({ pageSize: MAX_PAGE_SIZE, pageToken });
          return { names: read.policies.map(({ id, name }) => [id, name]), next: read.nextPageToken };
        },
      },
      {
        prefix: "ns_",
        one: async (namespace) => (await namespaces.getNamespace({ namespace })).namespace?.name,
        async page(pageToken) {
          const read = await namespaces.listNamespaces({ pageSize: MAX_PAGE_SIZE, pageToken, showDeleted: true });
          return { names: read.namespaces.map(({ id, name }) => [id, name]), next: read.nextPageToken };
        },
      },
      {
        prefix: "ses_",
        one: async (id) => nameOfSession((await sessions.getSession({ id })).session),
        async page(pageToken) {
          const read = await sessions.listSessions({ pageSize: MAX_PAGE_SIZE, pageToken, showEnded: true });
          const names = read.sessions.map((session): [string, string] => [session.id, nameOfSession(session)]);
          return { names, next: read.nextPageToken };
        },
      },
    ];
  }

  of(id: string): string | null {
    return this.#names.get(id) ?? null;
  }

  /** Looks up the names in the entries that are not known yet. Never throws. */
  async load(entries: readonly AuditEntry[]): Promise<void> {
    const ids = new Set(entries.flatMap(({ actorId, targetId }) => [actorId, targetId]));
    await Promise.all(
      this.#reads.map((reads) => {
        const missing = [...ids].filter((id) => id.startsWith(reads.prefix) && !this.#names.has(id));
        return this.#read(reads, missing).catch(() => this.#unreadable.add(reads));
      }),
    );
    for (const { targetId, before, after } of entries) {
      const name = after?.["name"] ?? before?.["name"];
      if (typeof name === "string" && this.of(targetId) === null) this.#names.set(targetId, name);
    }
  }

  async #read(reads: NameReads, missing: readonly string[]): Promise<void> {
    if (missing.length === 0 || this.#unreadable.has(reads)) return;
    for (const id of missing) this.#names.set(id, null);
    if (missing.length > MAX_SINGLE_READS) return this.#readList(reads, new Set(missing));
    // A deleted resource is not found. The other names are still shown.
    const found = await Promise.allSettled(missing.map((id) => reads.one(id)));
    for (const [index, result] of found.entries()) {
      if (result.status === "fulfilled") this.#names.set(missing[index] ?? "", result.value ?? null);
    }
  }

  async #readList(reads: NameReads, wanted: Set<string>): Promise<void> {
    let pageToken = "";
    do {
      const { names, next } = await reads.page(pageToken);
      for (const [id, name] of names) if (wanted.delete(id)) this.#names.set(id, name);
      pageToken = wanted.size === 0 ? "" : next;
    } while (pageToken !== "");
  }
}
