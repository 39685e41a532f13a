// What servers say to each other keeps its meaning on the wire, and wrong bytes are refused.

import test from 'ava';
import { Prng } from '#core/base/prng.ts';
import type { RaftBody, RaftMessage } from '#core/raft/messages.ts';
import {
  decodePeerMessage,
  decodeSnapshotPayload,
  encodePeerMessage,
  encodeSnapshotPayload,
} from '#core/wire/peer-codec.ts';
import type { PeerMessage } from '#core/wire/peer-messages.ts';
import { decodeRaftMessage, encodeRaftMessage } from '#core/wire/raft-codec.ts';
import { mutated } from '../support/arbitrary.ts';
import { scale } from '../support/scale.ts';

const from = { node: 'n1', storageId: 'a'.repeat(32) };

const peerMessages: readonly PeerMessage[] = [
  { type: 'who', from, peers: ['n1=10.0.0.1:7700', 'n2=10.0.0.2:7700'] },
  { type: 'am', from, clusterName: 'bramble', clusterId: 'b'.repeat(32), peers: [] },
  { type: 'join', from, address: '[fd00::1]:7700' },
  { type: 'snapshot-offer', from, term: 7, index: 1_000_000, sizeBytes: 2 ** 31 },
  { type: 'snapshot-fetch', from, index: 9, offset: 262_144 },
  { type: 'snapshot-part', from, index: 9, offset: 0, bytes: new Uint8Array([1, 2, 3]) },
  { type: 'records-fetch', from, index: 9, log: 3, start: 5, chain: 0xffff_ffff, any: true },
  {
    ...{ type: 'records-part', from, index: 9, log: 3, start: 5, agrees: true, chain: 1, bytes: 2 ** 40 },
    records: [new Uint8Array([0]), new Uint8Array(1_000)],
  },
  { type: 'snapshot-result', from, index: 9, installed: false },
];

const raftBodies: readonly RaftBody[] = [
  { type: 'pre-vote', lastIndex: 4, lastTerm: 3 },
  { type: 'pre-vote-reply', granted: true },
  { type: 'vote', lastIndex: 4, lastTerm: 3, transfer: 2 },
  { type: 'vote-reply', granted: false },
  {
    ...{ type: 'append', previousIndex: 4, previousTerm: 3, commitIndex: 2 },
    entries: [
      { index: 5, term: 3, type: 'command', data: new Uint8Array([9]) },
      { index: 6, term: 5, type: 'no-op', data: new Uint8Array() },
      { index: 7, term: 5, type: 'configuration', data: new Uint8Array([1, 2]) },
    ],
  },
  { type: 'append-reply', durableIndex: 7 },
  { type: 'append-gap', from: 3, to: 4 },
  { type: 'append-conflict', previousIndex: 4, hintIndex: 2, hintTerm: 1 },
  { type: 'heartbeat', round: 8, commitIndex: 7, electionTimeoutMs: 150 },
  {
    ...{ type: 'heartbeat-reply', round: 8, receivedIndex: 7 },
    disk: { roomy: false, stalledMs: 12, syncP99Ms: 3 },
  },
  { type: 'transfer', number: 1 },
  { type: 'newer-term' },
];

for (const message of peerMessages) {
  test(`encodePeerMessage: ${message.type} comes back as it was`, (t) => {
    t.deepEqual(decodePeerMessage(encodePeerMessage(message)), { ok: true, value: message });
  });
}

for (const body of raftBodies) {
  test(`encodeRaftMessage: ${body.type} comes back as it was`, (t) => {
    const message: RaftMessage = { from, to: 'n2', term: 5, body };
    t.deepEqual(decodeRaftMessage(encodeRaftMessage(message)), { ok: true, value: message });
  });
}

test('decodeRaftMessage: entries whose terms fall, or pass the message’s own, are refused', (t) => {
  const entries = [
    { index: 5, term: 4, type: 'no-op', data: new Uint8Array() },
    { index: 6, term: 3, type: 'no-op', data: new Uint8Array() },
  ] as const;
  const append = { type: 'append', previousIndex: 4, previousTerm: 3, commitIndex: 0 } as const;
  const falling = { from, to: 'n2', term: 5, body: { ...append, entries } };
  t.false(decodeRaftMessage(encodeRaftMessage(falling)).ok);
  const ahead = { from, to: 'n2', term: 3, body: { ...append, entries: entries.slice(0, 1) } };
  t.false(decodeRaftMessage(encodeRaftMessage(ahead)).ok);
});

test('encodeSnapshotPayload: everything of a snapshot but the records comes back as it was', (t) => {
  const payload = {
    ...{ index: 12, term: 3, configuration: new Uint8Array([1]), machine: new Uint8Array(100_000).fill(7) },
    logs: [
      { id: 1, name: 'file_0', guard: 'files', start: 2, count: 9, bytes: 1_000, chain: 0xdead_beef },
      { id: 2, name: 'free', guard: null, start: 0, count: 0, bytes: 0, chain: 0 },
    ],
  };
  t.deepEqual(decodeSnapshotPayload(encodeSnapshotPayload(payload)), { ok: true, value: payload });
});

test('decodePeerMessage, decodeRaftMessage: mutated bytes give a message or a problem, never an exception', (t) => {
  const prng = new Prng(11);
  const samples = [
    ...peerMessages.map(encodePeerMessage),
    ...raftBodies.map((body) => encodeRaftMessage({ from, to: 'n2', term: 5, body })),
  ];
  for (let count = 0; count < scale(100_000); count++) {
    const bytes = mutated(prng, prng.pick(samples));
    decodePeerMessage(bytes);
    decodeRaftMessage(bytes);
    decodeSnapshotPayload(bytes);
  }
  t.pass();
});
