// What the kernel counts of a process (proc(5)): bytes that it made the disk write, and memory. Linux only.

import { readFileSync } from 'node:fs';

function field(pid: number, file: 'io' | 'status', name: string): number {
  const match = new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(readFileSync(`/proc/${pid}/${file}`, 'utf8'));
  if (match === null) throw new Error(`/proc/${pid}/${file} has no field ${name}`);
  return Number(match[1]);
}

/** Bytes that the process dirtied in files of a real file system; not counted on tmpfs. */
export function diskBytesWritten(pid: number): number {
  return field(pid, 'io', 'write_bytes');
}

/** Resident memory in bytes, now and at its highest. */
export function residentBytes(pid: number): { readonly now: number; readonly highest: number } {
  return { now: field(pid, 'status', 'VmRSS') * 1_024, highest: field(pid, 'status', 'VmHWM') * 1_024 };
}

export function megabytes(bytes: number): string {
  return `${(bytes / 1_048_576).toFixed(1)} MiB`;
}
