// The lossy link in full: 20 clients × 200 appends.

import test from 'ava';
import { lossyLink } from '../support/lossy-link.ts';
import { scale } from '../support/scale.ts';

test('clients over a lossy link: every acknowledged record stands exactly once, in one order', (t) =>
  lossyLink(t, { clients: 20, appends: scale(200), seed: 1 }));
