import { isInterfaceName } from './interface-name.ts'
import { parseDigits } from './port.ts'
import { show } from './refusal.ts'

/** A setting of the store that podfence takes, below flag, environment and file. */
export type ConfigSetting =
  /** Starts of routed workload interfaces' names. */
  | { readonly name: 'InterfacePrefix'; readonly value: readonly string[] }
  | { readonly name: 'DefaultEndpointToHostAction'; readonly value: 'DROP' | 'RETURN' | 'ACCEPT' }
  /** Seconds; 0 switches the refresh off. */
  | { readonly name: 'IptablesRefreshInterval'; readonly value: number }
  | { readonly name: 'MaxIpsetSize'; readonly value: number }
  /** At least three bits. */
  | { readonly name: 'IptablesMarkMask'; readonly value: number }
  /** Seconds; an interval of 0 switches the status reports off. */
  | { readonly name: 'ReportingIntervalSecs' | 'ReportingTTLSecs'; readonly value: number }

export type ConfigReading =
  | { readonly read: 'honoured'; readonly setting: ConfigSetting }
  /** `warn`: the owner of the store expects an effect that podfence does not give. */
  | { readonly read: 'ignored'; readonly reason: string; readonly warn: boolean }
  | { readonly read: 'invalid'; readonly reason: string; readonly remedy: string }

const DAY = 86_400
const HIGHEST = 0xffff_ffff
const KUBE_PROXY_BITS = 0xc000

function invalid(text: string, wanted: string): ConfigReading {
  return {
    read: 'invalid',
    reason: `${show(text)} is not ${wanted}`,
    remedy: `Set it to ${wanted}, or delete the key.`,
  }
}

function readNumber(
  name: Extract<ConfigSetting, { value: number }>['name'],
  text: string,
  lowest: number,
  highest: number,
): ConfigReading {
  const value = parseDigits(text, highest)
  if (value === null || value < lowest) return invalid(text, `a whole number ${lowest} to ${highest}`)
  return { read: 'honoured', setting: { name, value } }
}

function countBits(value: number): number {
  return value.toString(2).replaceAll('0', '').length
}

function readMarkMask(text: string): ConfigReading {
  const value = /^0[xX][0-9A-Fa-f]{1,8}$/.test(text) ? Number(text) : parseDigits(text, HIGHEST)
  if (value === null || countBits(value) < 3) return invalid(text, 'a 32-bit mask with at least three bits')
  if ((value & KUBE_PROXY_BITS) !== 0)
    return invalid(text, "a mask away from kube-proxy's bits 0x4000 and 0x8000")
  return { read: 'honoured', setting: { name: 'IptablesMarkMask', value } }
}

function readPrefixes(text: string): ConfigReading {
  const value = [...new Set(text.split(',').map(prefix => prefix.trim()))]
  // A prefix of full length would leave no room for what tells interfaces apart.
  if (!value.every(prefix => isInterfaceName(prefix) && prefix.length < 15))
    return invalid(text, 'a list of prefixes of interface names, joined by commas')
  return { read: 'honoured', setting: { name: 'InterfacePrefix', value } }
}

/** Reads one of Felix's settings, `name` without its path, the text as it stands in the store. Never throws. */
export function readConfigKey(name: string, text: string): ConfigReading {
  switch (name) {
    case 'InterfacePrefix':
      return readPrefixes(text)
    case 'DefaultEndpointToHostAction':
      if (text !== 'DROP' && text !== 'RETURN' && text !== 'ACCEPT')
        return invalid(text, 'DROP, RETURN or ACCEPT')
      return { read: 'honoured', setting: { name, value: text } }
    case 'IptablesRefreshInterval':
    case 'ReportingIntervalSecs':
      return readNumber(name, text, 0, DAY)
    case 'ReportingTTLSecs':
      return readNumber(name, text, 1, DAY)
    case 'MaxIpsetSize':
      return readNumber(name, text, 1, HIGHEST)
    case 'IptablesMarkMask':
      return readMarkMask(text)
    case 'DropActionOverride':
      return { read: 'ignored', reason: 'a store must not switch the firewall off', warn: true }
    default:
      return { read: 'ignored', reason: 'podfence does not use this setting', warn: false }
  }
}
