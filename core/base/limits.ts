/**
 * Every limit, with its why. Sizes are bytes, times are milliseconds. At a limit the service refuses by name and counts
 * it; nothing grows without bound and nothing is dropped without a counter.
 */

// --- names and values ------------------------------------------------------------------------------------------------

/** Names of logs and locks: a file name on every system, never hidden, never a path. */
export const NAME_PATTERN = /^[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}$/;
export const NAME_BYTES_MAX = 64;
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
/**
 * Silent waiters, and ended leases, that one command may name: both lists full, it still fits a message. Whoever is left
 * over is named by the next command.
 */
export const COMMAND_LIST_MAX = 4_096;
/** Tokens, ids and revisions stay exact as JavaScript numbers. */
export const COUNTER_MAX = Number.MAX_SAFE_INTEGER;

// --- time ------------------------------------------------------------------------------------------------------------

export const TTL_DEFAULT_MS = 2_000;
export const TTL_MAX_MS = 3_600_000;
/** The published bound on the time without a leader; DESIGN.md derives it from the election timeout's ceiling. */
export const FAILOVER_BOUND_MS = 1_000;
/** Bounds of the election timeout T: below, a busy loop alone would depose leaders; above, failover takes too long. */
export const ELECTION_TIMEOUT_FLOOR_MS = 150;
export const ELECTION_TIMEOUT_CEILING_MS = 500;
/** However slow the disks are, a candidate does not wait longer than this for votes to be written. */
export const VOTE_WRITE_MS_MAX = 1_000;
/** Renewals are sent every ttl / 4, a waiting acquire is resent as often, and the wrapper's kill takes ttl / 8. */
export const RENEW_FRACTION = 1 / 4;
export const KILL_GRACE_FRACTION = 1 / 8;
/** The wrapper's watcher kills this part of the ttl before the deadline: a busy machine's timers come that late. */
export const KILL_MARGIN_FRACTION = 1 / 40;
export const KILL_MARGIN_MS_MAX = 1_000;
/** What a job gets between TERM and KILL when it must end at once (lock lost, wrapper killed); never past its lease. */
export const STOP_GRACE_MS_MAX = 1_000;
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

/** A change of members that must wait for something is asked for again after about this time. */
export const MEMBER_RETRY_MS = 500;

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
/** What an endpoint may be told to send on loopback, where the MTU is 65,536; larger ones fill a socket's buffer too fast. */
export const DATAGRAM_BYTES_LOOPBACK = 8_192;
/** No path has a smaller MTU (RFC 791), and fragments stay large enough to bound their number. */
export const DATAGRAM_BYTES_MIN = 576;
/** A fragment's part, but for the last, is at least so large: bounds the count of a message's fragments. */
export const FRAGMENT_BYTES_MIN = 256;
/** Half-received messages: for one sender, and in total; peers have a total of their own, so that clients cannot fill it. */
export const REASSEMBLY_BYTES_PER_SENDER = 4 * MESSAGE_BYTES_MAX;
export const REASSEMBLY_BYTES_TOTAL = 64 * 1_048_576;
export const REASSEMBLY_MESSAGES_PER_SENDER = 64;
/** Finished messages of a sender that are remembered, so that a late fragment is acknowledged and not delivered again. */
export const FINISHED_MESSAGES_REMEMBERED = 2 * REASSEMBLY_MESSAGES_PER_SENDER;
/** Fragments on the way to one receiver: at the start, after the worst losses, and at the best. */
export const FRAGMENT_WINDOW_START = 16;
export const FRAGMENT_WINDOW_MIN = 2;
export const FRAGMENT_WINDOW_MAX = 256;
/** Fragments sent at one go: what a small socket buffer takes; the rest is spread over the round trip. */
export const FRAGMENT_BURST_MAX = 16;
/** The resend timer (RFC 6298) before anything was measured, and its bounds. Acknowledgements are not delayed. */
export const RESEND_START_MS = 200;
export const RESEND_MIN_MS = 20;
export const RESEND_MAX_MS = 2_000;
/** A transfer of which nothing was acknowledged for so long is given up. */
export const TRANSFER_SILENT_MS = 10_000;
/** Messages that wait to be sent, to one address and in total: two seconds of a Pi's network. */
export const SEND_QUEUE_BYTES_PER_REMOTE = 16 * 1_048_576;
export const SEND_QUEUE_BYTES_TOTAL = 64 * 1_048_576;
export const SEND_QUEUE_MESSAGES_PER_REMOTE = 8_192;
/** Hellos: the first resend, the longest pause, the shortest pause between two to one address. */
export const HELLO_RESEND_START_MS = 100;
export const HELLO_RESEND_MAX_MS = 1_000;
export const HELLO_PAUSE_MIN_MS = 100;
/** Messages for an address that answers no hello are dropped after so long. */
export const HELLO_GIVE_UP_MS = 10_000;
/** Addresses that an endpoint speaks to by itself (`send`): servers, and little else. */
export const DESTINATIONS_MAX = 256;
/** A message of which nothing arrived for so long is given up. */
export const REASSEMBLY_IDLE_MS = 10_000;
/** Counters that a receiver remembers for each sender's boot (RFC 6479 calls it the anti-replay window). */
export const REPLAY_WINDOW = 1_024;
/** Boots that a receiver remembers: of clients, and, apart from them, of peers. */
export const CLIENT_BOOTS_MAX = 16_384;
export const PEER_BOOTS_MAX = 64;
/** Key derivations for boots not seen before, and hellos, a second: what a flood of forged boots may cost. */
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

/** One part of a snapshot or of its records on the wire: a few hundred datagrams. */
export const SNAPSHOT_PART_BYTES = 262_144;
/** A follower that fetches nothing for so long has gone away. */
export const SNAPSHOT_IDLE_MS = 10_000;
/** Servers that one server remembers: members and those that would like to be. */
export const PEERS_KNOWN_MAX = 64;

// --- the disk --------------------------------------------------------------------------------------------------------

export const SEGMENT_BYTES = 16 * 1_048_576;
/** A snapshot is due after so many bytes or entries of log. */
export const SNAPSHOT_AFTER_BYTES = 64 * 1_048_576;
export const SNAPSHOT_AFTER_ENTRIES = 100_000;
/** One group commit. */
export const BATCH_BYTES_MAX = 4 * 1_048_576;
/** A disk operation that takes longer counts as a stall. */
export const STALL_LIMIT_MS = 1_000;

// --- the client ------------------------------------------------------------------------------------------------------

/** Bounds one answer, unless the caller says otherwise; never a wait for a lock. */
export const ANSWER_TIMEOUT_MS = 10_000;
/** The retransmission timer before anything was measured: above a local network's round trip with one fsync. */
export const RESEND_INITIAL_MS = 250;
/** Below this, the jitter of timers and of fsync is larger than the round trip. */
export const RESEND_FLOOR_MS = 20;
/** Above this, waiting longer only adds to the caller's delay; RFC 6298 allows a maximum (its rule 2.5). */
export const RESEND_CEILING_MS = 2_000;
/** Transmissions in a row without any answer after which the server's boot is in doubt, and the server itself. */
export const SUSPECT_AFTER_SILENT = 2;
export const ROTATE_AFTER_SILENT = 3;
/** The pause before a server that knows no leader is asked again; doubles up to the ceiling. */
export const NO_LEADER_PAUSE_MS = 50;
export const NO_LEADER_PAUSE_MAX_MS = 500;
/** A message in fragments that moves slower than this (bytes a millisecond) is taken for lost. */
export const TRANSFER_BYTES_PER_MS_MIN = 256;
/** A read that a server has parked is asked for again this often: what one lost datagram may delay its news. */
export const PARKED_RESEND_MS = 1_000;
/** How long a parked read asks to be parked; well under PARK_MS_MAX and the session's timeout. */
export const PARK_MS_DEFAULT = 10_000;
/** Send times kept of one request: a grant names one of its newest attempts, or the holder renews first. */
export const SENT_TIMES_KEPT = 64;
/** Requests that wait in the client for a place in a window. */
export const CLIENT_QUEUE_MAX = 16_384;
/** Sessions that one client may open when waiting acquires pin the windows of those that it has. */
export const SESSIONS_PER_CLIENT_MAX = 64;
/** When one server has answered a status or ping, the others get this long. */
export const STATUS_GRACE_MS = 1_000;
/** A client that closes does not wait longer for its farewell. */
export const CLOSE_TIMEOUT_MS = 2_000;
/** Servers and hints of a leader that one client remembers. */
export const SERVERS_MAX = 64;
/** `read` without a limit. */
export const READ_RECORDS_DEFAULT = 4_096;
/** Free space is asked for at most this often, and a write that waits for room is tried again after as long. */
export const SPACE_CHECK_MS = 250;
/** Ballast that a full disk gives back: a few thousand small commands, one batch and one snapshot of a small cluster. */
export const RESERVE_BYTES_MAX = 8 * 1_048_576;
/** On a small file system the ballast takes this part of it, … */
export const RESERVE_FRACTION = 1 / 16;
/** … but never less than a release and an expiry need many times over. */
export const RESERVE_BYTES_MIN = 262_144;
/** The ballast gives way in steps of this size, so that one large batch does not take what small ones need. */
export const RESERVE_STEP_BYTES = 65_536;
/** Files that storage keeps open at once: 100 logs have 200, and a process may have 1,024. */
export const OPEN_FILES_MAX = 64;
/** One write into a log's file, and one step of a copy, a check or a scrub: what the loop may be kept busy with. */
export const FILE_CHUNK_BYTES = 1_048_576;
/** Records applied and not yet in their files; more counts as unpersisted, so that it holds up new ones. */
export const FILE_BUFFER_BYTES_MAX = 16 * 1_048_576;
/** Records that are compared with their index before a server starts; beyond it each log's tail, and the rest later. */
export const VERIFY_AT_OPEN_BYTES = 256 * 1_048_576;
/** Pause between two steps of the slow scrub: 10 MB/s, a tenth of what an SD card reads. */
export const SCRUB_PAUSE_MS = 100;

// --- the checker -----------------------------------------------------------------------------------------------------

/** What one history may hold: judged in memory, which on a Pi with 2 GB is the heap's own limit. */
export const HISTORY_OPERATIONS_MAX = 2_000_000;
export const HISTORY_BYTES_MAX = 256 * 1_048_576;
/** No line that a client wrote is longer: a read's page of the largest records, escaped. */
export const HISTORY_LINE_CHARACTERS_MAX = 64 * 1_048_576;
/** Orders of events that the search of one register holds at once; more, and it says that it could not tell. */
export const CHECK_STATES_MAX = 100_000;
/** Ways to fill a log's gaps with appends of unknown outcome that are tried before it says so. */
export const CHECK_FILLINGS_MAX = 2_000;
export const CHECK_TIMEOUT_MS = 60_000;
