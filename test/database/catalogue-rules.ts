/** Rule on the system catalogue. Its query returns a row for each object that breaks it. */
export interface CatalogueRule {
  readonly requirement: string;
  /** Query of `object` (its name) and `fault` (its fault). May use the views of `PREAMBLE`. */
  readonly query: string;
}

/**
 * Views that the rules query. They cover every schema that is not Postgres's own, so a new one is checked from its first table.
 * Temporary: they exist for one session, whose transaction is rolled back.
 */
export const PREAMBLE = `
  create temporary view watched_schemas as
    select oid, nspname as schema, nspowner as owner, nspacl as acl from pg_catalog.pg_namespace
    where nspname !~ '^pg_' and nspname <> 'information_schema';

  create temporary view node_roles as
    select r.*, rolname ~ '_owner$' as is_owner,
      case rolname when 'routeplane_aggregator' then 'usage' else split_part(rolname, '_', 2) end as schema
    from pg_catalog.pg_roles r where rolname ~ '^routeplane_';

  create temporary view relations as
    select c.*, s.schema, s.schema || '.' || c.relname as name, c.relname ~ '^kysely_migration(_lock)?$' as is_bookkeeping
    from pg_catalog.pg_class c join watched_schemas s on s.oid = c.relnamespace;

  create temporary view stores as select * from relations where relkind in ('r', 'p') and not is_bookkeeping;

  create temporary view fields as
    select s.oid, s.schema, s.name as store, s.name || '.' || a.attname as name,
      a.attnum, a.attname, a.attnotnull, a.atttypid, a.atttypmod, a.attcollation, a.attacl
    from stores s join pg_catalog.pg_attribute a on a.attrelid = s.oid
    where a.attnum > 0 and not a.attisdropped;

  create temporary view grants as
    select 'relation' as kind, r.schema, r.name as object, r.relowner as owner, r.relispartition, g.*
    from relations r cross join lateral aclexplode(r.relacl) g
    union all
    select 'column', f.schema, f.name, r.relowner, r.relispartition, g.*
    from fields f join relations r on r.oid = f.oid cross join lateral aclexplode(f.attacl) g
    union all
    select 'function', s.schema, s.schema || '.' || p.proname, p.proowner, false, g.*
    from pg_catalog.pg_proc p join watched_schemas s on s.oid = p.pronamespace
      cross join lateral aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) g
    union all
    select 'schema', s.schema, 'schema ' || s.schema, s.owner, false, g.*
    from watched_schemas s cross join lateral aclexplode(coalesce(s.acl, acldefault('n', s.owner))) g;`;

/** Rules on roles: none can bypass row-level security. */
const ROLES: readonly CatalogueRule[] = [
  {
    requirement: "no role of the node may do more than log in",
    query: `
      select rolname as object, 'is superuser, or may bypass row-level security, inherit, replicate or create roles or databases' as fault
      from node_roles where rolsuper or rolbypassrls or rolinherit or rolreplication or rolcreaterole or rolcreatedb`,
  },
  {
    requirement: "no role of the node is a member of another, or has members",
    query: `
      select r.rolname as object, 'is a member of a role, or has members' as fault
      from pg_catalog.pg_auth_members m join node_roles r on r.oid in (m.member, m.roleid)`,
  },
  {
    requirement: "the role of a process owns nothing",
    query: `
      select r.rolname as object, 'owns an object of ' || d.classid::regclass as fault
      from pg_catalog.pg_shdepend d join node_roles r on r.oid = d.refobjid and d.refclassid = 'pg_authid'::regclass
      where d.deptype = 'o' and not r.is_owner
        and d.dbid in (0, (select oid from pg_catalog.pg_database where datname = current_database()))`,
  },
  {
    requirement: "objects in a service's schema belong to the owner of that schema, and to no superuser",
    query: `
      select name as object, 'belongs to ' || relowner::regrole || ', not to the owner of its schema' as fault
      from relations where relowner::regrole::text <> 'routeplane_' || schema || '_owner' and relkind not in ('i', 'I', 't')`,
  },
];

const GRANTS: readonly CatalogueRule[] = [
  {
    requirement: "nothing is granted to everyone",
    query: `select object, 'grants ' || privilege_type || ' to everyone' as fault from grants where grantee = 0`,
  },
  {
    requirement: "only its owner has a privilege on a partition, where the parent's policies do not apply",
    query: `
      select object, 'is a partition and grants ' || privilege_type || ' to ' || grantee::regrole as fault
      from grants where relispartition and grantee not in (0, owner)`,
  },
  {
    requirement: "a process has only the four privileges that row-level security governs, and cannot grant them",
    query: `
      select g.object, 'grants ' || privilege_type || ' to ' || r.rolname as fault
      from grants g join node_roles r on r.oid = g.grantee
      where g.grantee <> g.owner and (is_grantable or not case kind
        when 'relation' then privilege_type in ('SELECT', 'INSERT', 'UPDATE', 'DELETE')
        when 'column' then privilege_type in ('SELECT', 'INSERT', 'UPDATE')
        when 'function' then privilege_type = 'EXECUTE'
        else privilege_type = 'USAGE' end)`,
  },
  {
    requirement: "a role has privileges in its service's schema only",
    query: `
      select g.object, 'grants ' || privilege_type || ' to ' || grantee::regrole || ', of another service' as fault
      from grants g left join node_roles r on r.oid = g.grantee
      where g.grantee not in (0, g.owner) and r.schema is distinct from g.schema`,
  },
  {
    requirement: "there are no default privileges",
    query: `select defaclrole::regrole::text as object, 'has default privileges' as fault from pg_catalog.pg_default_acl`,
  },
  {
    requirement: "a process may read the names of applied migrations, and nothing else of their bookkeeping",
    query: `
      select r.name as object, 'is bookkeeping and grants ' || g.privilege_type as fault
      from relations r join grants g on g.object = r.name where r.is_bookkeeping and g.grantee <> r.relowner
        and not (r.relname = 'kysely_migration' and g.privilege_type = 'SELECT')`,
  },
];

const ROW_LEVEL_SECURITY: readonly CatalogueRule[] = [
  {
    requirement: "row-level security is enabled and forced on every table and partition",
    query: `
      select name as object, 'has no forced row-level security' as fault
      from stores where not (relrowsecurity and relforcerowsecurity)`,
  },
  {
    requirement: "a policy is for named roles of processes",
    query: `
      select s.name || '/' || p.polname as object, 'is for everyone, or for a role that is no process''s' as fault
      from pg_catalog.pg_policy p join stores s on s.oid = p.polrelid cross join lateral unnest(p.polroles) role
      where not exists (select from node_roles r where r.oid = role and not r.is_owner)`,
  },
  {
    requirement: "a policy shows a row only by the transaction's setting",
    query: `
      select s.name || '/' || p.polname as object, 'lets rows through that the transaction''s setting does not name' as fault
      from pg_catalog.pg_policy p join stores s on s.oid = p.polrelid
        cross join lateral (values (pg_get_expr(p.polqual, p.polrelid)), (pg_get_expr(p.polwithcheck, p.polrelid))) as e (text)
      where e.text !~ '^\\([a-z_]+ = \\( SELECT NULLIF\\(current_setting\\(''routeplane\\.[a-z_]+''::text, true\\), ''''::text\\) AS "?nullif"?\\)\\)$'`,
  },
  {
    requirement:
      "objects that row-level security cannot protect do not exist: views as their owner, materialised views, foreign tables",
    query: `
      select name as object, 'is a view without security_invoker, a materialised view or a foreign table' as fault
      from relations where relkind in ('m', 'f')
        or (relkind = 'v' and not coalesce(reloptions && array['security_invoker=true', 'security_invoker=on'], false))`,
  },
  {
    requirement: "a function that runs as its owner has a fixed search_path",
    query: `
      select s.schema || '.' || p.proname as object, 'runs as its owner without a fixed search_path that ends with pg_temp' as fault
      from pg_catalog.pg_proc p join watched_schemas s on s.oid = p.pronamespace
      where p.prosecdef and not exists (
        select from unnest(p.proconfig) c where c ~ '^search_path=' and c ~ '(=|, )pg_temp$' and c !~ '(public|\\$user)')`,
  },
];

const COLUMNS: readonly CatalogueRule[] = [
  {
    requirement: "every row has a namespace_id",
    query: `
      select name as object, 'has no namespace_id that is not null' as fault from stores s
      where not exists (select from fields f where f.oid = s.oid and f.attname = 'namespace_id' and f.attnotnull)`,
  },
  {
    requirement: "uniqueness is within a namespace",
    query: `
      select s.schema || '.' || x.relname as object, 'is unique and does not start with namespace_id' as fault
      from pg_catalog.pg_index i join stores s on s.oid = i.indrelid join pg_catalog.pg_class x on x.oid = i.indexrelid
        left join fields f on f.oid = s.oid and f.attnum = i.indkey[0]
      where (i.indisunique or i.indisexclusion) and f.attname is distinct from 'namespace_id'`,
  },
  {
    requirement: "a reference stays within its namespace",
    query: `
      select s.schema || '.' || k.conname as object, 'is a reference that does not start with namespace_id on both sides' as fault
      from pg_catalog.pg_constraint k join stores s on s.oid = k.conrelid
        join fields near on near.oid = k.conrelid and near.attnum = k.conkey[1]
        join fields far on far.oid = k.confrelid and far.attnum = k.confkey[1]
      where k.contype = 'f'
        and (near.attname <> 'namespace_id' or far.name not in (far.store || '.namespace_id', 'auth.namespaces.id'))`,
  },
  {
    requirement: "ids are compared byte by byte",
    query: `
      select f.name as object, 'is an id that is not collated "C"' as fault
      from fields f where f.attname ~ '(^|_)id$' and f.attcollation not in (0, (select oid from pg_collation where collname = 'C'))`,
  },
  {
    requirement: "money and counts are integers of at least zero",
    query: `
      select f.name as object, 'is money or a count, and not a whole number that is checked to be at least 0' as fault
      from fields f where f.attname ~ '(_nano|_micro|_usd|tokens)' and (format_type(f.atttypid, f.atttypmod) not in ('bigint', 'bigint[]', 'numeric(38,0)') or not exists (
        select from pg_catalog.pg_constraint k
        where k.conrelid = f.oid and k.contype = 'c' and k.convalidated and k.conenforced
          and pg_get_constraintdef(k.oid) ~ ('\\((' || f.attname || ' >=? (0|\\(0\\)::numeric)|0 <= ALL \\(' || f.attname || '\\))\\)')
          and pg_get_constraintdef(k.oid) !~ ' (OR|NOT) '))`,
  },
];

export const CATALOGUE_RULES: readonly CatalogueRule[] = [...ROLES, ...GRANTS, ...ROW_LEVEL_SECURITY, ...COLUMNS];
