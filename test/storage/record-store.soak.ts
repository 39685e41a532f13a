// A hundred sequences of effects instead of ten.
import './record-store.test.ts';
