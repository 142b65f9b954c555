import type { Counters, SavedTables } from './save.ts'

/** The text that `parseSave` read, line by line the same; comments stand where they stood. */
export function printSave(saved: SavedTables): string {
  const lines: string[] = []
  let next = 0
  const emit = (text: string): void => {
    for (; saved.comments[next]?.line === lines.length + 1; next++) lines.push(saved.comments[next]!.text)
    lines.push(text)
  }
  for (const table of saved.tables) {
    emit(`*${table.name}`)
    for (const chain of table.chains)
      emit(
        `:${chain.name} ${chain.policy ?? '-'}${chain.counters === null ? '' : ` ${show(chain.counters)}`}`,
      )
    for (const rule of table.rules) {
      const counted = rule.counters === null ? '' : `${show(rule.counters)} `
      emit(`${counted}-A ${rule.chain}${rule.text === '' ? '' : ` ${rule.text}`}`)
    }
    emit('COMMIT')
  }
  for (; next < saved.comments.length; next++) lines.push(saved.comments[next]!.text)
  return lines.map(line => `${line}\n`).join('')
}

function show(counters: Counters): string {
  return `[${counters.packets}:${counters.bytes}]`
}
