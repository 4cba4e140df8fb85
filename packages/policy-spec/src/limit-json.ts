/** Limit that applies to a key and its current use, as `GET /v1/key` and the command line show it. Amounts are in `unit`. */
export interface LimitJson {
  readonly policy_id: string;
  readonly policy_name: string;
  readonly binding_id: string;
  /** `namespace` or `api_key`. */
  readonly principal_type: string;
  readonly principal_id: string;
  /** `enforce` or `shadow`. */
  readonly mode: string;
  /** `budget` or `rate_limit`. */
  readonly kind: string;
  /** `micro_usd`, `requests`, `tokens` or `concurrent`. */
  readonly unit: string;
  /** Window of a budget, as in its spec; null for a rate limit. */
  readonly window: string | null;
  /** Time zone of a calendar window; absent for another. */
  readonly time_zone?: string;
  /** Length of the rolling window; null if there is none. */
  readonly window_secs: number | null;
  readonly limit: number;
  readonly used: number;
  readonly reserved: number;
  /** Part of `reserved` that is set aside in slices of gateways. */
  readonly leased: number;
  readonly left: number;
  /** First moment at which a part of `used` leaves the window, in RFC 3339; null if nothing does. */
  readonly resets_at: string | null;
}
