import type { AuditSchema } from "@routeplane/audit";
import type { Id } from "@routeplane/domain";
import type { PolicyKind } from "@routeplane/policy-spec";
import type { Generated, GeneratedAlways, JSONColumnType } from "kysely";
import type { Reservation } from "../domain/admission/reservation.ts";
import type { BindingMode, BoundPrincipal } from "../domain/policies/policy.ts";
import type { SessionState, SliceDimension } from "../domain/sessions/session.ts";

/** Tables as the migrations leave them. */
export interface PolicySchema extends AuditSchema {
  readonly policies: {
    namespace_id: Id<"ns">;
    id: Id<"pol">;
    name: string;
    kind: PolicyKind;
    /** Spec as JSON, read through `fromSpecColumns` only. */
    spec: JSONColumnType<object>;
    created_at: Date;
    disabled_at: Date | null;
    version: bigint;
    creator_lineage: Id<"key">[];
    /** Null unless it holds the limits that a key was minted with. */
    minted_for: Id<"key">[] | null;
    /** Size of the spec as text. */
    spec_bytes: GeneratedAlways<number>;
    guardrail_patterns: GeneratedAlways<number>;
    /** 0 without a guardrail. */
    guardrail_bytes: GeneratedAlways<number>;
    /** Null in rows of earlier releases. */
    guardrail_instructions: number | null;
  };
  readonly bindings: {
    namespace_id: Id<"ns">;
    id: Id<"bnd">;
    policy_id: Id<"pol">;
    principal_type: BoundPrincipal["type"];
    principal_id: BoundPrincipal["id"];
    mode: BindingMode;
    created_at: Date;
    creator_lineage: Id<"key">[];
    /** Empty for a namespace. */
    principal_lineage: Id<"key">[];
  };
  readonly counters: {
    namespace_id: Id<"ns">;
    binding_id: Id<"bnd">;
    /** Nano-USD. */
    reserved_nano: bigint;
    /** Number of open reservations. */
    open_holds: bigint;
    /** Ring, read through `fromCounterRow` only, as the next two. */
    spend: readonly string[] | null;
    /** Time zone of `spend`; null unless it is of a calendar window. */
    spend_time_zone: string | null;
    requests: readonly string[] | null;
    tokens: readonly string[] | null;
  };
  /** Reservations, in any state. */
  readonly holds: {
    namespace_id: Id<"ns">;
    key_id: Reservation["keyId"];
    request_id: Id<"req">;
    budget_binding_ids: Id<"bnd">[];
    rate_binding_ids: Id<"bnd">[];
    /** Nano-USD. */
    amount_nano: bigint;
    tokens: bigint;
    output_tokens_max: bigint;
    opened_at: Date;
    expires_at: Date;
    state: Reservation["state"];
    closed_at: Date | null;
    /** Nano-USD. */
    cost_nano: bigint | null;
    idempotency_key: string | null;
    /** Null for a reservation of a gateway. */
    service_credential_id: Id<"svc"> | null;
  };
  readonly gateway_sessions: {
    id: Id<"gws">;
    state: SessionState;
    renewal: bigint;
    nonce: bigint;
    gateway: string;
    opened_at: Generated<Date>;
    renewed_at: Generated<Date>;
    left_at: Date | null;
    ended_at: Date | null;
    settled_at: Date | null;
    closed_at: Date | null;
    sweeps: Generated<number>;
    swept_at: Date | null;
    log_position: bigint | null;
    claimed_until: Date | null;
  };
  /** Amounts of counters that are set aside for a session; sums in nano-USD or slots since it began. */
  readonly slices: {
    namespace_id: Id<"ns">;
    binding_id: Id<"bnd">;
    session_id: Id<"gws">;
    dimension: SliceDimension;
    granted: bigint;
    returned: bigint;
    used: bigint;
    doubt: bigint;
    held_back: bigint;
  };
  readonly limit_sets: {
    namespace_id: Id<"ns">;
    session_id: Id<"gws">;
    number: bigint;
    budget_binding_ids: Id<"bnd">[];
    request_binding_ids: Id<"bnd">[];
    token_binding_ids: Id<"bnd">[];
    slot_binding_ids: Id<"bnd">[];
  };
  /** Namespaces that a session has something in, until it is closed there. */
  readonly session_namespaces: {
    namespace_id: Id<"ns">;
    session_id: Id<"gws">;
    settled_at: Date | null;
    swept_at: Date | null;
  };
}
