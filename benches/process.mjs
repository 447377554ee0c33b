// What benchmarks read of a server's process, and how they print it.
import { readFileSync } from 'node:fs';

/** Ticks of `/proc/PID/stat` a second (`getconf CLK_TCK`). */
const TICKS = 100;

/** Prints one thing that was measured. */
export const print = (what, value) => process.stdout.write(`${what.padEnd(64)}${value}\n`);
export const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Seconds of processor time of a process since its start. */
export function processorSeconds(pid) {
  const [, fields] = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ');
  const [user, system] = fields.split(' ').slice(11, 13).map(Number);
  return (user + system) / TICKS;
}

/** Memory of a process now. */
export function residentMiB(pid) {
  const [, kib] = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
  return Number(kib) / 1024;
}
