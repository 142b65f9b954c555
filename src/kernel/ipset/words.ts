/**
 * A line of ipset's language as words: blanks divide, double quotes hold a word together, and there is no
 * escape (ipset stores a backslash as it is and refuses a quote). Null when a quote never closes.
 */
export function splitSetLine(line: string): string[] | null {
  if (!line.includes('"')) return line.split(/\s+/).filter(word => word !== '')
  const words: string[] = []
  const pattern = /\s*(?:"([^"]*)"|([^\s"]+))/y
  let at = 0
  while (line.slice(at).trim() !== '') {
    pattern.lastIndex = at
    const match = pattern.exec(line)
    if (match === null) return null
    words.push(match[1] ?? match[2]!)
    at = pattern.lastIndex
  }
  return words
}
