/** How a setting's value is read from a text or from YAML, printed again and described to people. */
export interface SettingKind<Value> {
  /** For the documentation: `on or off`. */
  readonly form: string
  /** From a flag's or variable's text, or a YAML scalar or list. Throws an Error that continues the sentence `NAME ...`. */
  parse(given: unknown): Value
  print(value: Value): string
}

/** The values of the table below, where several of them are the unit. */
export interface Listen {
  readonly host: string
  readonly port: number
}

function scalar(given: unknown): string {
  if (typeof given === 'string') return given.trim()
  if (typeof given === 'number' || typeof given === 'boolean') return String(given)
  if (given === null || given === undefined) throw new Error('has no value.')
  throw new Error('must be a single value, not a list or a map.')
}

function shown(text: string): string {
  return JSON.stringify(text.length > 60 ? `${text.slice(0, 57)}...` : text)
}

/** Any text that `pattern` admits; `form` says in words what that is. */
export function text(form: string, pattern = /^[^\p{Cc}]+$/u): SettingKind<string> {
  return {
    form,
    parse(given) {
      const value = scalar(given)
      if (!pattern.test(value)) throw new Error(`must be ${form}, not ${shown(value)}.`)
      return value
    },
    print: value => value,
  }
}

/** The same, where nothing (an empty text) is a value too. */
export function optional<Value>(kind: SettingKind<Value>): SettingKind<Value | null> {
  return {
    form: `${kind.form}, or empty`,
    parse: given => (given === '' || given === null ? null : kind.parse(given)),
    print: value => (value === null ? '' : kind.print(value)),
  }
}

/** The same, where a wrong value is not shown: it may be the secret itself. */
export function unshown<Value>(kind: SettingKind<Value>): SettingKind<Value> {
  return {
    ...kind,
    parse(given) {
      try {
        return kind.parse(given)
      } catch {
        throw new Error(`must be ${kind.form}.`)
      }
    },
  }
}

/** Several values: a YAML list, or one text with commas. An empty text is an empty list. */
export function list<Value>(kind: SettingKind<Value>): SettingKind<readonly Value[]> {
  return {
    form: `list of ${kind.form}`,
    parse(given) {
      const items = Array.isArray(given) ? given : scalar(given).split(',')
      const named = items.map(item => (typeof item === 'string' ? item.trim() : item))
      const values = named.filter(item => item !== '').map(item => kind.parse(item))
      return [...new Set(values)]
    },
    print: values => values.map(value => kind.print(value)).join(','),
  }
}

/** One word of a few. */
export function choice<const Words extends readonly string[]>(...words: Words): SettingKind<Words[number]> {
  const form = words.map(word => `\`${word}\``).join(' | ')
  return {
    form,
    parse(given) {
      const value = scalar(given).toLowerCase()
      if (!words.includes(value)) throw new Error(`must be one of ${words.join(', ')}, not ${shown(value)}.`)
      return value
    },
    print: value => value,
  }
}

const ON = ['on', 'true', 'yes', '1']
const OFF = ['off', 'false', 'no', '0']

export const onOff: SettingKind<boolean> = {
  form: '`on` | `off`',
  parse(given) {
    const value = scalar(given).toLowerCase()
    if (ON.includes(value)) return true
    if (OFF.includes(value)) return false
    throw new Error(`must be on or off, not ${shown(value)}.`)
  },
  print: value => (value ? 'on' : 'off'),
}

/** A whole number, both ends included. */
export function integer(least: number, most: number): SettingKind<number> {
  return {
    form: `${least}..${most}`,
    parse(given) {
      const value = scalar(given)
      const number = /^(0|[1-9][0-9]*)$/.test(value) ? Number(value) : Number.NaN
      if (!(number >= least && number <= most))
        throw new Error(`must be a whole number from ${least} to ${most}, not ${shown(value)}.`)
      return number
    },
    print: value => String(value),
  }
}

const UNITS: readonly (readonly [string, number])[] = [
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1000],
  ['ms', 1],
]

/** Milliseconds. Written with a unit (`250ms`, `90s`, `5m`, `1h`); a bare number is seconds, as in Calico's keys. */
export function duration(least: number, most: number): SettingKind<number> {
  const print = (ms: number) => {
    const [name, size] = ms === 0 ? ['s', 1000] : UNITS.find(([, unit]) => ms % unit === 0)!
    return `${ms / (size as number)}${name}`
  }
  const form = least === 0 ? 'duration, `0` is off' : 'duration'
  return {
    form,
    parse(given) {
      const value = scalar(given)
      const parts = /^([0-9]+(?:\.[0-9]+)?)(ms|s|m|h)?$/.exec(value)
      if (parts === null)
        throw new Error(`must be a duration such as 500ms, 30s, 5m or 1h, not ${shown(value)}.`)
      const unit = UNITS.find(([name]) => name === (parts[2] ?? 's'))![1]
      const ms = Math.round(Number(parts[1]) * unit)
      if (ms < least || ms > most)
        throw new Error(`must be from ${print(least)} to ${print(most)}, not ${shown(value)}.`)
      return ms
    },
    print,
  }
}

/** Where to listen: `127.0.0.1:9099`, `[::1]:9099`, or `off` (null). Port 0 lets the system choose. */
export const listen: SettingKind<Listen | null> = {
  form: '`HOST:PORT` or `off`',
  parse(given) {
    if (given === false) return null
    const value = scalar(given)
    if (OFF.includes(value.toLowerCase())) return null
    const parts = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]\s]+)):([0-9]{1,5})$/.exec(value)
    const port = Number(parts?.[3])
    if (parts === null || port > 65_535)
      throw new Error(`must be HOST:PORT such as 127.0.0.1:9099, or off, not ${shown(value)}.`)
    return { host: (parts[1] ?? parts[2])!, port }
  },
  print: value => {
    if (value === null) return 'off'
    return value.host.includes(':') ? `[${value.host}]:${value.port}` : `${value.host}:${value.port}`
  },
}

/** kube-proxy's own two bits (masquerade and drop): a mask over them would undo its work. */
const KUBE_PROXY_MARKS = 0xc000

/** Bits of the packet mark that podfence may use, as an unsigned 32-bit number. */
export const markMask: SettingKind<number> = {
  form: 'hexadecimal mask',
  parse(given) {
    const value = scalar(given)
    const mask = /^(0x[0-9a-fA-F]{1,8}|[0-9]{1,10})$/.test(value) ? Number(value) : Number.NaN
    if (!(mask >= 0 && mask <= 0xffffffff))
      throw new Error(`must be a mask such as 0xff000000, not ${shown(value)}.`)
    if ((mask & KUBE_PROXY_MARKS) !== 0)
      throw new Error(`must keep clear of kube-proxy's bits 0x4000 and 0x8000, which ${value} does not.`)
    const bits = mask.toString(2).replaceAll('0', '').length
    if (bits < 3) throw new Error(`must have at least three bits, and ${value} has ${bits}.`)
    return mask
  },
  print: value => `0x${value.toString(16)}`,
}

/** An etcd server. Without a scheme it is https where certificate files are named, else http. */
export const etcdUrl: SettingKind<string> = {
  form: 'URL',
  parse(given) {
    const value = scalar(given).replace(/\/$/, '')
    const url = value.includes('://') ? value : `http://${value}`
    if (url.includes('@')) throw new Error('must not carry a user; etcdUser and etcdPasswordFile do that.')
    if (!/^https?:\/\/[^/\s?#]+$/.test(url) || !URL.canParse(url))
      throw new Error(`must be a URL such as https://10.0.0.1:2379, not ${shown(value)}.`)
    return value
  },
  print: value => value,
}
