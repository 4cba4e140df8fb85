// Executable model of gateway sessions and slices (docs/adr/0028): random interleavings of an authority, gateways, an event log and
// a usage reader. The slices of its gateways are those of this package. With all rules on, no violation may be found; with one
// rule off (BREAKS), one must be.
// Left out: rate windows, shadow bindings, reports while NATS is away, an authority restored to an older state.
// Time is a whole number of ticks. Amounts are whole. An answer or a message can be lost, repeated, late or overtaken.
import { StandingSlice } from "../src/slices/standing-slice.ts";

const LEN = 30; // length of a session
const MARGIN = 2; // what the gateway takes off
const HOLD = 60; // how long an open reservation row lasts before it is charged in full as unknown
const STEPS_PER_SEED = 1000;
/** Each switch turns off one rule; beside it, what must go wrong then. */
export const BREAKS = {
  expiry: "the gateway does not check its session's expiry before it admits",
  margin: "the gateway counts the expiry from the answer to its renewal, not from before it was sent",
  clock: "the gateway's clock stands still while it is paused",
  outstanding: "the authority does not count what is outstanding as reserved",
  sums: "grants are told as differences instead of sums since the session began",
  ended: "the authority grants to a session that has ended",
  dedup: "a report is applied without looking for the request's row",
  overrun: "a cost beyond the bound is taken from the slice, and so from other requests' bounds",
  lineage: "the gateway asks the first counter of the lineage alone",
  reader: "a session is settled from the log before usage has consumed all of it",
  pending: "requests that the log says are under way are not kept reserved",
  doubt: "nothing is held back for requests whose admission event was not acknowledged",
  "doubt-cap": "the gateway does not bound what is in doubt",
  early: "what a request did not use is free before the log has acknowledged its settlement",
  order: "a request is reported before the log has acknowledged its settlement",
  correct: "the charge of an unknown request is not corrected when its cost becomes known",
  sweep: "the log is asked once, not again for what came late",
  takeover: "who finds a spool closes its sessions without proof that their owner is dead",
  left: "who finds a spool without that proof reports what was running as unknown",
  boot: "a spool that survived a power loss is taken for complete",
  forget: "reports of a closed session are applied",
  mark: "a release of a request that is not known leaves no mark",
  binding: "slices and rows name the place of a binding instead of its id",
};

function prng(seed) {
  let a = seed * 2654435761;
  return () => {
    a = (a + 0x6d2b79f5) | 0;
    let x = Math.imul(a ^ (a >>> 15), 1 | a);
    x = (x + Math.imul(x ^ (x >>> 7), 61 | x)) ^ x;
    return ((x ^ (x >>> 14)) >>> 0) / 4294967296;
  };
}

function runSeed(seed, broken = new Set(), stepCount = STEPS_PER_SEED) {
  const off = (name) => broken.has(name);
  const rnd = prng(seed);
  const int = (n) => Math.floor(rnd() * n);
  const chance = (p) => rnd() < p;
  const pick = (all) => all[int(all.length)];
  let [t, ids, steps, unaccounted] = [0, 0, 0, 0];
  const trace = [];
  const say = (text) => trace.push(`  t=${t} ${text}`);
  const fail = (text) => {
    throw Object.assign(new Error(text), { violation: true, trace: trace.slice(-14), steps });
  };

  // The authority: everything here is Postgres, each function one transaction.
  const bindings = []; // by place: 0 is the parent's, 1 and 2 those of its children
  const counters = new Map(); // by binding id
  const sessions = new Map(); // {state: open | ended | settled | closed, renewals, slots by binding id}
  const rows = new Map(); // by request: {state: open | unknown | settled, ...}
  const bind = (place) => {
    const id = `${place}.${++ids}`;
    counters.set(id, { limit: 30 + int(500), spent: 0, reserved: 0, ceiling: 0 });
    bindings[place] = id;
  };
  [0, 1, 2].forEach(bind);
  const slot = (of, id) => of.get(id) ?? of.set(id, { G: 0, R: 0, S: 0, run: 0, doubt: 0, back: 0 }).get(id);
  const outstanding = (l) => Math.max(0, l.G - l.R - l.S); // granted - returned - used, sums since the session began
  const leased = (id) =>
    [...sessions.values()].reduce(
      (n, s) => n + (s.slots.has(id) ? outstanding(s.slots.get(id)) + s.slots.get(id).back : 0),
      0,
    );
  const counted = (id) => counters.get(id).spent + counters.get(id).reserved + leased(id);
  const head = (id) =>
    counters.get(id).limit - (off("outstanding") ? counters.get(id).spent + counters.get(id).reserved : counted(id));
  const named = (id) => (off("binding") ? bindings[id[0]] : id);

  /** Charges a request once; corrects what was unknown. */
  function charge(s, { req, src, binds, bound, cost, unknown }) {
    const row = rows.get(req);
    const over = Math.max(0, cost - bound);
    const onAll = (change) =>
      binds.forEach((id) => counters.has(named(id)) && change(counters.get(named(id)), named(id)));
    if (row && (row.state !== "settled" || !off("dedup"))) {
      if (row.state === "settled" || (row.state === "unknown" && (unknown || off("correct")))) return;
      onAll((c) => {
        if (row.state === "open") c.reserved -= bound;
        c.spent += row.state === "open" ? cost : cost - bound;
        c.ceiling += over;
      });
    } else {
      // A central request without a row was never admitted. The mark keeps its admission, if it is on its way, from being late.
      if (src === "central")
        return void (off("mark") || rows.set(req, { state: "settled", sid: s.id, src, binds, bound }));
      onAll((c, id) => {
        c.spent += cost;
        c.ceiling += over;
        const l = s.slots.get(id);
        if (!l) return;
        if (s.state === "settled") l.back -= Math.min(l.back, cost - over);
        else l.S += off("overrun") ? cost : cost - over;
      });
    }
    rows.set(req, { state: unknown ? "unknown" : "settled", sid: s.id, src, binds, bound });
    if (truth.has(req)) truth.get(req).applied = true;
  }
  const zero = (s) => {
    for (const l of s.slots.values()) {
      l.R = Math.max(l.R, l.G - l.S);
      l.back = 0;
    }
  };
  /** What usage knows of an ended session becomes rows; the rest is free again, but for what may be in doubt. */
  function settleFromLog(s) {
    s.position ??= log.length; // asked after the end is committed
    if (read < s.position && !off("reader")) return;
    for (const u of usage.values()) {
      if (u.sid !== s.id || rows.has(u.req)) continue;
      if (u.cost !== undefined) charge(s, u);
      else if (!off("pending")) {
        rows.set(u.req, { ...u, state: "open", until: t + HOLD });
        truth.get(u.req).applied = true;
        for (const id of u.binds)
          if (counters.has(id)) {
            counters.get(id).reserved += u.bound;
            slot(s.slots, id).S += u.bound;
          }
      }
    }
    const back = new Map([...s.slots].map(([id, l]) => [id, off("doubt") ? 0 : Math.min(outstanding(l), l.doubt)]));
    zero(s);
    for (const [id, l] of s.slots) l.back = back.get(id);
    s.state = "settled";
    say(`A: session ${s.id} settled from the log, held back ${[...back.values()].join()}`);
  }
  const authority = {
    open(m) {
      if (!sessions.has(m.sid)) sessions.set(m.sid, { id: m.sid, state: "open", renewals: 0, slots: new Map() });
      return authority.renew(m);
    },
    renew(m) {
      const s = sessions.get(m.sid);
      if (s.state !== "open" || s.left) return { type: "ended", sid: m.sid };
      s.renewals++;
      return { type: "renewed", sid: m.sid, sentAt: m.sentAt };
    },
    acquire(m) {
      const s = sessions.get(m.sid);
      if ((s.state !== "open" || s.left) && !off("ended")) return { type: "ended", sid: m.sid };
      const wanted = m.list
        .filter(({ id }) => counters.has(id))
        .map((w) => Object.assign({}, w, { l: slot(s.slots, w.id) }));
      for (const { l, R } of wanted) l.R = Math.max(l.R, R);
      const missed = wanted.some(({ l, G }) => l.G > G) && !off("sums"); // an answer was lost: tell it again, grant nothing
      const fits = wanted.length === m.list.length && wanted.every(({ id, need }) => need <= head(id));
      const list = wanted.map(({ id, l, need, want, doubt }) => {
        const grant = missed || !fits || need === 0 ? 0 : need + Math.min(want, Math.floor((head(id) - need) / 4));
        l.G += grant;
        if (grant > 0) l.doubt = Math.max(l.doubt, doubt);
        return { id, G: l.G, R: l.R, doubt: l.doubt, grant };
      });
      return { type: "granted", sid: m.sid, list };
    },
    admit(m) {
      const s = sessions.get(m.sid);
      const fits = s.state === "open" && !s.left && m.binds.every((id) => counters.has(id) && m.bound <= head(id));
      if (rows.has(m.req)) return { type: "admitted", req: m.req, ok: rows.get(m.req).state === "open" };
      if (fits) {
        for (const id of m.binds) counters.get(id).reserved += m.bound;
        rows.set(m.req, { ...m, state: "open", until: t + HOLD });
      }
      return { type: "admitted", req: m.req, ok: fits };
    },
    report(m) {
      for (const item of m.items) {
        const s = sessions.get(item.sid);
        if (s.state !== "closed" || off("forget")) charge(s, item);
      }
      return { type: "reported", reqs: m.items.map(({ req }) => req) };
    },
    close(m) {
      const s = sessions.get(m.sid);
      if (!s) return { type: "closed", sid: m.sid };
      if (!m.proof) s.left = true; // no more renewals: it ends by itself, and from the log
      else if (s.state !== "closed") {
        zero(s);
        s.state = "closed";
      }
      return { type: "closed", sid: m.sid };
    },
  };
  /** A policy process ends a session whose number of renewals it saw unchanged for the whole length, by its own clock. */
  function observe() {
    for (const s of sessions.values()) {
      if (s.state !== "open") continue;
      if (s.seen !== s.renewals) [s.seen, s.seenAt] = [s.renewals, t];
      else if (t - s.seenAt >= LEN) {
        s.state = "ended";
        say(`A: session ${s.id} ended`);
      }
    }
  }
  function clean() {
    for (const s of sessions.values()) {
      if (s.state === "ended") settleFromLog(s);
      if (s.state !== "settled" || off("sweep")) continue;
      for (const u of usage.values()) {
        const known = rows.get(u.req);
        if (u.sid === s.id && (!known || (known.state !== "settled" && u.cost !== undefined)))
          charge(s, { ...u, cost: u.cost ?? u.bound, unknown: u.cost === undefined });
      }
    }
    for (const [req, row] of rows) {
      if (row.state === "open" && row.until <= t)
        charge(sessions.get(row.sid), { ...row, req, cost: row.bound, unknown: true });
      if (sessions.get(row.sid).state === "closed" && row.state !== "open" && chance(0.5)) rows.delete(req); // forgotten
    }
  }

  // The event log, and usage, which reads it late.
  const [log, usage] = [[], new Map()];
  let [read, quiet] = [0, false];
  function consume(count) {
    for (; count > 0 && read < log.length; count--, read++) {
      const { type: _, ...e } = log[read];
      const u = usage.get(e.req);
      if (!u) usage.set(e.req, e);
      else u.cost ??= e.cost;
    }
  }

  // Gateways. A disk is a spool: {sessions: sid -> whether its owner had this disk to itself, recs by request}.
  const [net, procs, truth] = [[], [], new Map()];
  const newDisk = () => ({ sessions: new Map(), recs: new Map() });
  const alive = () => procs.filter((p) => p.alive);
  const now = (p) => t - p.lag;
  const held = (p, id) => p.slots.get(id) ?? p.slots.set(id, new StandingSlice(id, "money")).get(id);
  /** What the log has acknowledged is not in doubt any more, once. */
  const clearDoubt = (p, r) => {
    if (r.sid !== p.sid || r.src === "central" || r.cleared || !r.sent) return;
    r.cleared = true;
    for (const id of r.binds) held(p, id).acknowledge(r.bound);
  };
  const [slow, generous] = [pick([0.1, 0.5, 1]), pick([2, 8, 40])]; // how often answers to renewals are late, how large slices get
  const post = (m) => net.push({ ...m, due: chance(m.type === "renewed" ? slow : 0.1) ? t + int(2 * LEN) : t });
  const send = (p, to, m) => post({ ...m, from: p.id, to });
  /** @param proof whether the processes that had this disk are certainly dead, and the disk is as the last one left it */
  function start(disk, proof) {
    const p = {
      id: ++ids,
      disk,
      alive: true,
      lag: 0,
      sid: null,
      expiry: -1,
      slots: new Map(),
      ready: [],
      places: [...bindings],
      cut: new Set(),
      old: new Map(),
    };
    for (const [sid, own] of disk.sessions) {
      disk.sessions.set(sid, own && proof);
      p.old.set(sid, own && proof);
    }
    for (const r of disk.recs.values()) {
      if (r.cost !== undefined) continue;
      r.unknown = r.sent || !p.old.get(r.sid);
      r.cost = r.unknown ? r.bound : 0;
      r.reported = !p.old.get(r.sid) && !off("left"); // who runs it may live: left to the log
    }
    procs.push(p);
    say(`G${p.id}: starts${proof ? "" : " on a disk that proves nothing"}`);
  }
  const logged = (r) => !r.sent || (r.acked && (r.told || r.unknown)); // the log has acknowledged all that there is to say
  const open = (p) => {
    p.opening ??= `s${++ids}`;
    p.disk.sessions.set(p.opening, true);
    send(p, "A", { type: "open", sid: p.opening, sentAt: now(p) });
  };
  const leave = (p) => {
    if (p.sid) {
      p.old.set(p.sid, true);
      [p.sid, p.expiry, p.slots] = [null, -1, new Map()];
    }
  };
  function ask(p, binds, bound) {
    const req = `r${++ids}`;
    const rec = { req, sid: p.sid, src: "central", binds, bound, sent: false };
    p.disk.recs.set(req, rec);
    send(p, "A", { ...rec, type: "admit" });
  }
  function admit(p) {
    if (!p.sid) return open(p);
    if (now(p) >= p.expiry && !off("expiry")) return;
    const [binds, bound] = [[p.places[0], p.places[1 + int(2)]], 1 + int(4)];
    const slots = binds.map((id) => held(p, id));
    const fits = (l) => (off("doubt-cap") ? bound <= l.free : l.fits(bound));
    if (!(off("lineage") ? slots.slice(0, 1) : slots).every(fits)) {
      if (chance(0.3)) return ask(p, binds, bound);
      return send(p, "A", {
        type: "acquire",
        sid: p.sid,
        list: slots.map((l, i) => ({
          id: binds[i],
          G: l.granted,
          R: l.returned,
          need: bound,
          want: bound * int(generous),
          doubt: bound + int(6),
        })),
      });
    }
    for (const l of slots) l.take(bound);
    p.ready.push({ req: `r${++ids}`, sid: p.sid, src: "slice", binds, bound, sent: true });
  }
  function commit(p) {
    // a pause may lie between the check above and this: the spool, then upstream
    const rec = p.ready.shift();
    if (!rec) return;
    p.disk.recs.set(rec.req, rec);
    truth.set(rec.req, { ...rec, fate: "running" });
  }
  function finish(p) {
    const r = pick([...p.disk.recs.values()].filter((each) => each.cost === undefined));
    if (!r) return;
    r.cost = r.sent ? (chance(0.06) ? r.bound + 1 + int(3) : int(r.bound + 1)) : 0; // not sent: no answer came, given up
    if (r.sent) Object.assign(truth.get(r.req), { cost: r.cost, fate: "finished" });
    if (off("early")) release(p, r);
  }
  function release(p, r) {
    // what it did not use can be used again
    if (r.sid !== p.sid || r.src === "central" || r.released || !r.sent) return;
    r.released = true;
    clearDoubt(p, r);
    for (const id of r.binds) {
      held(p, id).settle(r.bound, r.cost);
      if (off("overrun")) held(p, id).used += Math.max(0, r.cost - r.bound);
    }
  }
  function publish(p, all = false) {
    for (const r of p.disk.recs.values()) {
      const { req, sid, src, binds, bound, cost, unknown } = r;
      const told = cost !== undefined && !unknown;
      if (r.sent && (!r.acked || (told && !r.told)) && (all || chance(0.5)))
        send(p, "N", { type: "event", req, sid, src, binds, bound, cost: told ? cost : undefined });
    }
  }
  function report(p, all = false) {
    const items = [...p.disk.recs.values()].filter(
      (r) => r.cost !== undefined && !r.reported && (logged(r) || off("order")) && (all || chance(0.6)),
    );
    if (items.length > 0) send(p, "A", { type: "report", items: structuredClone(items) });
  }
  function close(p) {
    for (const [sid, proof] of p.old) {
      const busy = [...p.disk.recs.values(), ...p.ready].some((r) => r.sid === sid && !r.reported);
      if (!busy) send(p, "A", { type: "close", sid, proof: proof || off("takeover") });
    }
  }
  function giveBack(p) {
    if (p.sid) for (const l of p.slots.values()) l.giveBack(l.free);
    if (p.sid)
      send(p, "A", {
        type: "acquire",
        sid: p.sid,
        list: [...p.slots].map(([id, l]) => ({ id, G: l.granted, R: l.returned, need: 0 })),
      });
  }
  const gateway = {
    renewed(p, m) {
      if (m.sid === p.opening) [p.sid, p.opening] = [m.sid, undefined];
      if (m.sid !== p.sid) return;
      p.expiry = Math.max(p.expiry, off("margin") ? now(p) + LEN : m.sentAt + LEN - MARGIN);
      if (!quiet && chance(0.1)) burst(p);
    },
    ended(p, m) {
      if (m.sid === p.opening) p.opening = undefined;
      if (m.sid === p.sid) leave(p);
    },
    granted(p, m) {
      if (m.sid !== p.sid) return;
      for (const e of m.list) {
        const l = held(p, e.id);
        l.grant(off("sums") ? l.granted + e.grant : e.G, e.doubt);
      }
    },
    admitted(p, { req, ok }) {
      const r = p.disk.recs.get(req);
      if (!r || r.cost !== undefined || r.sent) return;
      if (!ok) return void (r.cost = 0);
      r.sent = true;
      truth.set(req, { ...r, applied: true, fate: "running" });
    },
    reported(p, m) {
      for (const req of m.reqs) {
        const r = p.disk.recs.get(req);
        if (r) {
          r.reported = true;
          drop(p, r);
        }
      }
    },
    acked(p, m) {
      const r = p.disk.recs.get(m.req);
      if (r) {
        r.acked = true;
        clearDoubt(p, r);
        r.told ||= m.told;
        if (r.told) release(p, r);
        drop(p, r);
      }
    },
    closed(p, m) {
      p.old.delete(m.sid);
      p.disk.sessions.delete(m.sid);
    },
  };
  const drop = (p, r) => {
    if (r.reported && logged(r)) p.disk.recs.delete(r.req);
  };
  function deliver(lossless) {
    const m = pick(lossless ? net : net.filter(({ due }) => due <= t));
    if (m) arrive(m, lossless);
  }
  function arrive(m, lossless) {
    const p = procs.find((each) => each.id === (typeof m.to === "string" ? m.from : m.to));
    if (p.held !== undefined && m.to === p.id) return;
    const copy = !lossless && chance(0.1);
    if (!copy) net.splice(net.indexOf(m), 1);
    if (!lossless && (chance(0.1) || p.cut.has(m.link ?? m.to))) return;
    if (m.to === "A") post({ ...authority[m.type](m), to: m.from, link: "A" });
    else if (m.to === "N") {
      log.push(m);
      post({ type: "acked", req: m.req, told: m.cost !== undefined, to: m.from, link: "N" });
    } else if (p.alive) gateway[m.type](p, m);
  }
  function kill(p) {
    const how = pick(["kill", "kill", "power", "lost"]);
    p.alive = false;
    say(`G${p.id}: ${how}`);
    if (how === "lost") return start(newDisk(), true);
    if (how === "kill") return start(p.disk, true);
    start(structuredClone(pick([p.synced, p.backup]) ?? newDisk()), off("boot")); // what was not synced is gone; a backup that is restored is the same
  }
  /** Spends what it believes to have, and its events arrive at once. */
  const burst = (p) => {
    for (let i = 0; i < 8; i++) for (const act of [admit, commit, admit, commit, publish, flush, flush]) act(p);
  };
  const flush = (p) => {
    const m = net.find(({ to, from, type }) => (to === "N" && from === p.id) || (to === p.id && type === "acked"));
    if (m) arrive(m, false);
  };
  const resume = (p) => {
    if (off("clock")) p.lag += t - p.held;
    p.held = undefined;
  };

  /** After every step. */
  function check() {
    const live = new Map();
    for (const r of truth.values())
      if (!r.applied)
        for (const id of r.binds)
          live.set(`${r.sid} ${id}`, (live.get(`${r.sid} ${id}`) ?? 0) + Math.min(r.cost ?? r.bound, r.bound));
    for (const [id, c] of counters) {
      const total = counted(id);
      if (total <= c.limit) c.ceiling = c.limit;
      else if (total > c.ceiling) fail(`invariant 1: counter ${id} counts ${total}, ${c.ceiling} is allowed`);
      if (c.reserved < 0 || c.spent < 0) fail(`counter ${id} is negative`);
      for (const s of sessions.values()) {
        const l = s.slots.get(id) ?? slot(new Map(), id);
        const used = live.get(`${s.id} ${id}`) ?? 0;
        if (used > outstanding(l) + l.back)
          fail(`session ${s.id} (${s.state}) uses ${used} of counter ${id}, ${outstanding(l) + l.back} is set aside`);
      }
    }
    for (const p of alive())
      for (const [id, l] of p.slots) {
        if (l.free < 0 && !off("overrun")) fail(`invariant 2: G${p.id} has ${l.free} free of ${id}`);
        const known = sessions.get(p.sid);
        if (
          known?.state === "open" &&
          counters.has(id) &&
          l.free + (live.get(`${p.sid} ${id}`) ?? 0) > outstanding(slot(known.slots, id))
        )
          fail(`invariant 2: G${p.id} can use more of ${id} than is outstanding`);
      }
  }
  const actions = [
    [16, admit],
    [10, commit],
    [9, finish],
    [8, publish],
    [3, report],
    [1, close],
    [0.3, giveBack],
    [2, (p) => p.sid && send(p, "A", { type: "renew", sid: p.sid, sentAt: now(p) })],
    [1, (p) => (p.places = [...bindings])], // the change feed
    [1, (p) => (p.synced = structuredClone(p.disk))],
    [0.1, (p) => (p.backup = structuredClone(p.disk))],
    [
      0.3,
      (p) => {
        p.cut = new Set(pick(["A", "N", "AN"]));
        say(`G${p.id}: cut off from ${[...p.cut].join()}`);
      },
    ],
    [0.15, leave], // rotation; a clean stop does the same
    [0.15, kill],
    [
      0.4,
      (p) => {
        say(`G${p.id}: paused`);
        p.held = t;
      },
    ],
    [0.04, (p) => start(structuredClone(p.disk), off("takeover"))], // a second process on the folder of a living one
    [0.3, burst],
  ].flatMap(([weight, act]) => Array(Math.ceil(weight * 25 * pick([0.2, 1, 4]))).fill(act)); // each seed has a temper of its own
  const world = [
    () => (t += 1 + int(4)),
    () => (t += int(3)),
    observe,
    clean,
    clean,
    () => chance(0.4) && consume(int(8)),
    () =>
      alive()
        .filter((p) => p.held !== undefined && chance(0.15))
        .forEach((p) => {
          resume(p);
          if (chance(0.5)) burst(p);
        }),
    () => alive().forEach((p) => chance(0.15) && p.cut.clear()),
    () => {
      if (chance(0.04)) {
        const c = counters.get(pick(bindings));
        c.limit = 20 + int(500);
        c.ceiling = Infinity;
      }
    },
    () => {
      if (chance(0.02)) {
        const place = int(3);
        counters.delete(bindings[place]);
        for (const s of sessions.values()) s.slots.delete(bindings[place]);
        bind(place);
        say(`rebound ${place}`);
      }
    },
  ];
  for (let i = 0; i < 3; i++) start(newDisk(), true);
  for (; steps < stepCount; steps++) {
    const p = pick(alive().filter((each) => each.held === undefined));
    const kind = rnd();
    if (kind < 0.35)
      for (let n = Math.ceil(net.length / 8); n > 0; n--) {
        deliver(false);
        check();
      }
    else if (kind < 0.8 && p) pick(actions)(p);
    else pick(world)();
    for (const c of counters.values())
      if (c.ceiling === Infinity) c.ceiling = Math.max(c.limit, counted([...counters].find(([, x]) => x === c)[0]));
    check();
  }

  // Quiescence. First every session that lives may go on living: nothing may stay outstanding all the same.
  quiet = true;
  const settle = (rounds, each) => {
    for (let i = 0; i < rounds; i++) {
      for (const p of alive()) each(p);
      while (net.length > 0) {
        deliver(true);
        check();
      }
      consume(1e9);
    }
  };
  for (const p of alive()) {
    p.cut.clear();
    if (p.held !== undefined) resume(p);
  }
  settle(8, (p) => {
    while (p.ready.length > 0) commit(p);
    while ([...p.disk.recs.values()].some((r) => r.cost === undefined)) finish(p);
    publish(p, true);
    report(p, true);
    giveBack(p);
    if (p.sid) send(p, "A", { type: "renew", sid: p.sid, sentAt: now(p) });
  });
  for (const p of alive())
    if (p.sid && sessions.get(p.sid).state === "open")
      for (const [id, l] of sessions.get(p.sid).slots) {
        if (outstanding(l) !== 0) fail(`session ${p.sid} is idle, and ${outstanding(l)} of ${id} stays outstanding`);
      }
  settle(4, (p) => {
    leave(p);
    report(p, true);
    publish(p, true);
    close(p);
  });
  for (let i = 0; i < 8; i++) {
    t += LEN;
    observe();
    clean();
    consume(1e9);
    check();
  }
  for (const s of sessions.values())
    for (const [id, l] of s.slots) {
      // a day later
      const lost = [...truth.values()]
        .filter((r) => r.sid === s.id && !r.applied && r.binds.includes(id))
        .reduce((n, r) => n + Math.min(r.cost ?? r.bound, r.bound), 0);
      if (lost > l.back) fail(`${lost} of ${id} was lost without being held back`);
      unaccounted += lost;
      if (outstanding(l) !== 0)
        fail(`${outstanding(l)} of ${id} stays outstanding for ever in ${s.state} session ${s.id}`);
      l.back = 0;
    }
  // Row, log and counters agree: what the log says, or the bound where it says nothing and the authority held a row.
  for (const [id, c] of counters) {
    if (c.reserved !== 0) fail(`${c.reserved} of ${id} stays reserved`);
    let due = 0;
    const requests = new Set([...truth.keys(), ...rows.keys()]);
    for (const req of requests) {
      const [r, u, row] = [truth.get(req), usage.get(req), rows.get(req)];
      if (!(r ?? row).binds.includes(id)) continue;
      if (u?.cost !== undefined && u.cost !== r.cost) fail(`${req} has a row of ${u.cost} and cost ${r.cost}`);
      due += u ? (u.cost ?? u.bound) : row?.state === "unknown" ? row.bound : 0;
    }
    if (due !== c.spent) fail(`counter ${id} has spent ${c.spent}, the requests came to ${due}`);
  }
  return { steps, requests: truth.size, sessions: sessions.size, unaccounted };
}

/** Runs seeds, from the first one, for a number of steps in all, or until a violation is found. */
export function explore(steps, seed, broken) {
  const sum = { steps: 0, seeds: 0, requests: 0, sessions: 0, unaccounted: 0 };
  for (let s = seed; sum.steps < steps; s++) {
    sum.seeds++;
    try {
      const ran = runSeed(s, broken);
      for (const key of Object.keys(ran)) sum[key] += ran[key];
    } catch (error) {
      if (!error.violation) throw error;
      return { ...sum, steps: sum.steps + error.steps, found: { seed: s, ...error, message: error.message } };
    }
  }
  return sum;
}
