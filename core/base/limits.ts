/**
 * Every limit, with its why. Sizes are bytes, times are milliseconds. At a limit the service refuses by name and counts
 * it; nothing grows without bound and nothing is dropped without a counter.
 */

// --- names and values ------------------------------------------------------------------------------------------------

/** Names of logs and locks: a file name on every system, never hidden, never a path. */
export const NAME_PATTERN = /^[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}$/;
/** Keys: printable ASCII without `[` and `]`. */
export const KEY_PATTERN = /^[\x20-\x5a\x5c\x5e-\x7e]{1,128}$/;
export const NODE_ID_PATTERN = /^[a-z0-9-]{1,32}$/;
export const CLUSTER_NAME_PATTERN = /^[A-Za-z0-9._-]{1,64}$/;
export const KEY_BYTES_MAX = 128;
export const VALUE_BYTES_MAX = 2_048;
export const RECORD_BYTES_MIN = 1;
/** A record must fit a message, a write batch and a Pi's memory many times over. */
export const RECORD_BYTES_MAX = 1_048_576;

// --- the state machine -----------------------------------------------------------------------------------------------

/** The lock that guards the coursework's files, and their number if the server is not told another. */
export const FILES_LOCK = 'files';
export const FILES_COUNT_DEFAULT = 100;
export const LOGS_MAX = 10_000;
/** With the largest values 200 MB: what a Pi with 2 GB can still put into a snapshot. */
export const KEYS_MAX = 100_000;
export const SESSIONS_MAX = 10_000;
/** Locks exist while somebody holds or waits; a session cannot hold more than this many grants. */
export const GRANTS_PER_SESSION_MAX = 10_000;
export const WAITERS_PER_LOCK_MAX = 10_000;
/** Requests of one session that may be unanswered at once; the session table covers exactly these. */
export const SESSION_WINDOW = 32;
/** A kept answer, encoded. */
export const ANSWER_BYTES_MAX = 64;
/** Changes kept in memory for `kv watch`; a watcher that is further behind lists again. */
export const KV_CHANGES_KEPT = 4_096;
/** Tokens, ids and revisions stay exact as JavaScript numbers. */
export const COUNTER_MAX = Number.MAX_SAFE_INTEGER;

// --- time ------------------------------------------------------------------------------------------------------------

export const TTL_DEFAULT_MS = 2_000;
export const TTL_MAX_MS = 3_600_000;
/** The published bound on the time without a leader; DESIGN.md derives it from the election timeout's ceiling. */
export const FAILOVER_BOUND_MS = 1_000;
/** Renewals are sent every ttl / 4, a waiting acquire is resent as often, and the wrapper's kill takes ttl / 8. */
export const RENEW_FRACTION = 1 / 4;
export const KILL_GRACE_FRACTION = 1 / 8;
/** ttl ≥ failover bound + ttl / 4 + ttl / 8, so that a failover alone never costs a lock. A shorter ask is raised. */
export const TTL_MIN_MS = FAILOVER_BOUND_MS / (1 - RENEW_FRACTION - KILL_GRACE_FRACTION);
/** The stated clock drift ε: two monotonic clocks may differ in rate by this much and no lock has two holders. */
export const CLOCK_DRIFT_MAX = 0.005;
export const SESSION_TIMEOUT_MS = 30_000;
/** A client with nothing else to say sends a keep-alive this often. */
export const KEEP_ALIVE_MS = 10_000;
/** A waiter that was not heard for this many of its resend intervals is passed over when the lock is passed on. */
export const WAITER_SILENT_INTERVALS = 3;
/** A read that waits for news (tail, watch) is answered after this time even if there is none. */
export const PARK_MS_MAX = 20_000;

// The coursework's own times.
export const COURSEWORK_TTL_MS = 2_000;
export const COURSEWORK_RESEND_MS = 2_000;
export const COURSEWORK_ACK_PAUSE_MS = 1_000;
export const COURSEWORK_TRIES = 5;

// --- datagrams and messages ------------------------------------------------------------------------------------------

export const PORT_DEFAULT = 7_700;
/** Under every path's MTU in practice; RFC 8899 starts its search at 1,200, Ethernet without tunnels gives 1,472. */
export const DATAGRAM_BYTES_MAX = 1_400;
/** What a receiver accepts from a sender that was told a larger MTU (loopback); UDP's own limit. */
export const DATAGRAM_BYTES_ACCEPTED = 65_507;
/** A record plus its envelope. */
export const MESSAGE_BYTES_MAX = RECORD_BYTES_MAX + 65_536;
/**
 * What a decoder still accepts as a name or key, and as a value: more than is ever allowed, so that the server can refuse a
 * merely too long one by name (code 4) where silence would leave its sender guessing.
 */
export const DECODED_NAME_BYTES_MAX = 1_024;
export const DECODED_VALUE_BYTES_MAX = 65_536;
/** What a status may list. More servers than this vote in nobody's cluster; more metrics are a mistake. */
export const MEMBERS_MAX = 64;
export const STATUS_METRICS_MAX = 1_024;
/** Half-received messages: for one sender, and in total. */
export const REASSEMBLY_BYTES_PER_SENDER = 4 * MESSAGE_BYTES_MAX;
export const REASSEMBLY_BYTES_TOTAL = 64 * 1_048_576;
export const REASSEMBLY_MESSAGES_PER_SENDER = 64;
/** A message of which nothing arrived for so long is given up. */
export const REASSEMBLY_IDLE_MS = 10_000;
/** Counters that a receiver remembers for each sender's boot (RFC 6479 calls it the anti-replay window). */
export const REPLAY_WINDOW = 1_024;
/** Boots that a receiver remembers: of clients, and, apart from them, of peers. */
export const CLIENT_BOOTS_MAX = 16_384;
export const PEER_BOOTS_MAX = 64;
/** Key derivations for boots not seen before, a second: what a flood of forged boots may cost. */
export const DERIVATIONS_PER_SECOND_MAX = 2_000;
/** What one response to a list or read may carry before it is split into pages. */
export const PAGE_BYTES_MAX = 262_144;
export const PAGE_RECORDS_MAX = 4_096;

// --- queues ----------------------------------------------------------------------------------------------------------

export const INBOX_MESSAGES_MAX = 16_384;
export const INBOX_BYTES_MAX = 64 * 1_048_576;
/** Proposed and not yet durable: what a stalled disk may hold up before clients are told code 5. */
export const UNPERSISTED_BYTES_MAX = 32 * 1_048_576;
export const PARKED_READS_MAX = 20_000;
export const SOCKET_BUFFER_BYTES = 4 * 1_048_576;

// --- the disk --------------------------------------------------------------------------------------------------------

export const SEGMENT_BYTES = 16 * 1_048_576;
/** A snapshot is due after so many bytes or entries of log. */
export const SNAPSHOT_AFTER_BYTES = 64 * 1_048_576;
export const SNAPSHOT_AFTER_ENTRIES = 100_000;
/** One group commit. */
export const BATCH_BYTES_MAX = 4 * 1_048_576;
/** A disk operation that takes longer counts as a stall. */
export const STALL_LIMIT_MS = 1_000;
