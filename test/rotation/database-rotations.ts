import { eventually } from "@routeplane/testing";
import { expect } from "vitest";
import { createLogin, DATABASE_ROLES, type NodeOfFiles } from "./node-of-files.ts";
import { changesOf, type Rotation } from "./rotation.ts";
import { newSecret } from "./secret-volume.ts";

/** Names of the logins, and backends, that are connected to the database of the node. */
async function connectionsOf(
  { admin, loginPrefix }: NodeOfFiles,
  column: "usename" | "pid",
): Promise<readonly string[]> {
  const { rows } = await admin.query<{ value: string }>(
    `select distinct ${column}::text as value from pg_stat_activity where usename like $1`,
    [`${loginPrefix}%`],
  );
  return rows.map(({ value }) => value);
}

function databaseUrlOf(
  node: NodeOfFiles,
  role: (typeof DATABASE_ROLES)[number],
  user?: string,
  password?: string,
): string {
  const url = new URL(node.secretsOf(role)["ROUTEPLANE_DATABASE_URL"] ?? "");
  if (user !== undefined) url.username = user;
  if (password !== undefined) url.password = password;
  return url.href;
}

export function databaseRoles(node: NodeOfFiles): Rotation {
  const passwords = new Map(DATABASE_ROLES.map((role) => [role, newSecret()]));
  const former = DATABASE_ROLES.map((role) => `${node.loginPrefix}_${role}`);
  return {
    name: "roles of the database",
    async admit() {
      for (const [role, password] of passwords)
        await createLogin(
          node.admin,
          node.database.name,
          `${node.loginPrefix}_${role}_2`,
          `routeplane_${role}`,
          password,
        );
    },
    use: () =>
      node.replace(
        changesOf(DATABASE_ROLES, (role) => {
          const own = DATABASE_ROLES.find((each) => each === role) ?? "auth";
          return {
            ROUTEPLANE_DATABASE_URL: databaseUrlOf(node, own, `${node.loginPrefix}_${role}_2`, passwords.get(own)),
          };
        }),
      ),
    async retire() {
      await eventually(async () => (await connectionsOf(node, "usename")).every((name) => !former.includes(name)));
      for (const role of former) await node.admin.query(`drop owned by ${role}; drop role ${role}`);
    },
    // An idle role connects again at its next schema check, seconds later.
    async prove() {
      await eventually(async () => {
        const names = await connectionsOf(node, "usename");
        expect(names.toSorted()).toEqual(former.map((role) => `${role}_2`).toSorted());
        return true;
      });
    },
  };
}

export function databasePasswords(node: NodeOfFiles): Rotation {
  const passwords = new Map(DATABASE_ROLES.map((role) => [role, newSecret()]));
  let before: readonly string[] = [];
  return {
    name: "passwords of the database",
    // The file first: the former password stays in use until the server accepts the new one.
    async admit() {
      before = await connectionsOf(node, "pid");
      await node.replace(
        changesOf(DATABASE_ROLES, (role) => {
          const own = DATABASE_ROLES.find((each) => each === role) ?? "auth";
          return { ROUTEPLANE_DATABASE_URL: databaseUrlOf(node, own, undefined, passwords.get(own)) };
        }),
      );
    },
    async use() {
      for (const [role, password] of passwords) {
        const { username } = new URL(databaseUrlOf(node, role));
        await node.admin.query(`alter role ${username} password '${password}'`);
      }
    },
    async retire() {
      await eventually(async () => (await connectionsOf(node, "pid")).every((pid) => !before.includes(pid)));
    },
    prove: async () => {},
  };
}
