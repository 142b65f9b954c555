export const LEVELS = ['debug', 'info', 'warning', 'error', 'none'] as const
export type Level = (typeof LEVELS)[number]

/** Lines for whoever keeps the runtime's stderr. */
export type Log = (level: Exclude<Level, 'none'>, text: string) => void

/** Prints what is of `least` or worse through `write`, each line with its level and `about`. */
export function createLog(least: Level, about: string, write: (line: string) => void): Log {
  return (level, text) => {
    if (LEVELS.indexOf(level) >= LEVELS.indexOf(least))
      write(`podfence-cni ${level}: ${about}: ${text.replace(/\p{Cc}/gu, ' ')}\n`)
  }
}
