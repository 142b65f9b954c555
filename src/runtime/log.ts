import { fstatSync, writeSync } from 'node:fs'
import { type DestinationStream, type LevelWithSilent, type Logger, pino, stdTimeFunctions } from 'pino'
import type { Settings } from './setting-table.ts'

export type { Logger } from 'pino'

/** syslog's priorities, which journald reads as `<N>` at the start of a line. */
const PRIORITIES: Readonly<Record<number, number>> = { 10: 7, 20: 7, 30: 6, 40: 4, 50: 3, 60: 2 }
const METADATA = Symbol.for('pino.metadata')

export interface LogOptions {
  readonly level: LevelWithSilent
  readonly format: 'json' | 'text'
  /** Whether a journald reads the lines, so that each starts with its priority. */
  readonly journal: boolean
}

export interface LogOutput {
  write(line: string): unknown
}

/** How to log, from the settings and from what stdout is. */
export function logOptions(
  settings: Pick<Settings, 'logLevel' | 'logFormat'>,
  stdout: { readonly isTTY?: boolean },
  env: Readonly<Record<string, string | undefined>>,
): LogOptions {
  const auto = stdout.isTTY === true ? 'text' : 'json'
  return {
    level: settings.logLevel,
    format: settings.logFormat === 'auto' ? auto : settings.logFormat,
    journal: isJournal(env.JOURNAL_STREAM),
  }
}

/** JOURNAL_STREAM (`device:inode`) is inherited by children with other outputs, so it must be our stdout's. */
function isJournal(stream: string | undefined): boolean {
  if (stream === undefined) return false
  try {
    const { dev, ino } = fstatSync(1)
    return stream === `${dev}:${ino}`
  } catch {
    return false
  }
}

/**
 * The agent's log. Fields as everywhere: component, revision, endpoint, policy, chain, set, ms, changed.
 * `written` hears the level (30 info, 40 warn, 50 error) of each line, for the metric.
 */
export function createLog(
  options: LogOptions,
  output: LogOutput,
  written: (level: number) => void = () => {},
): Logger {
  const stream: DestinationStream & { lastLevel: number } = {
    lastLevel: 30,
    write(line) {
      const level = this.lastLevel
      written(level)
      const text = options.format === 'json' ? line : readable(line)
      output.write(options.journal ? `<${PRIORITIES[level] ?? 6}>${text}` : text)
    },
  }
  Object.defineProperty(stream, METADATA, { value: true })
  return pino(
    {
      level: options.level,
      base: null,
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: label => ({ level: label }) },
      serializers: { err: pino.stdSerializers.err },
    },
    stream,
  )
}

/** How long a reader of the log that is merely slow is waited for in all, for one line. */
const PATIENCE_MS = 200
const PAUSE_MS = 5

/** stdout, written at once; a full disk, a vanished or a stuck reader loses lines, never the agent and no memory. */
export function standardOutput(fd = 1): LogOutput {
  let broken = false
  return {
    write(line) {
      // What was written of a line before the disk was full ends here.
      const bytes = Buffer.from(broken ? `\n${line}` : line)
      const written = writeBytes(fd, bytes)
      if (written > 0) broken = written < bytes.length
    },
  }
}

/** As many as go; returns how many. */
function writeBytes(fd: number, bytes: Uint8Array): number {
  let written = 0
  for (let pauses = 0; written < bytes.length; ) {
    try {
      written += writeSync(fd, bytes, written)
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      if (code !== 'EAGAIN' || ++pauses > PATIENCE_MS / PAUSE_MS) break
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, PAUSE_MS)
    }
  }
  return written
}

const NOT_PLAIN = /[^\p{L}\p{N}\p{P}\p{S} ]/u

/** A value for a terminal: quoted when it holds blanks or anything that could move the cursor. */
function plain(value: unknown): string {
  if (typeof value !== 'string') return JSON.stringify(value)
  return value === '' || value.includes(' ') || NOT_PLAIN.test(value) ? JSON.stringify(value) : value
}

/** `09:30:01.250 INFO  kernel: applied: 3 chains  ms=38` from pino's JSON line. */
export function readable(line: string): string {
  const { level, time, component, msg, err, ...fields } = JSON.parse(line) as Record<string, unknown>
  const head = `${String(time).slice(11, 23)} ${String(level).toUpperCase().padEnd(5)}`
  const words = String(msg ?? '').replaceAll(/\p{Cc}/gu, ' ')
  const pairs = Object.entries(fields).map(([key, value]) => `${key}=${plain(value)}`)
  const stack = (err as { stack?: string } | undefined)?.stack
  const trace = stack === undefined ? '' : `\n${stack.replaceAll(/[^\P{Cc}\n]/gu, ' ')}`
  return `${[head, component === undefined ? words : `${component}: ${words}`, ...pairs].join(' ')}${trace}\n`
}
