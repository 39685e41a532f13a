/** The package entry `bramble/sim`: what judges a run from outside. */

export * from './check/index.ts';
