/** The checker's public side. */

export { type CheckOptions, checkHistory, judge, shortest, type Verdict, verdictJson } from './check.ts';
export { drawing } from './drawing.ts';
export type { Finding } from './findings.ts';
export { type History, HistoryError, HistoryReader, readHistory } from './history.ts';
export { timeline } from './timeline.ts';
