import { parseSingleAddress } from '../../model/cidr.ts'
import { isInterfaceName } from '../../model/interface-name.ts'
import type { AttachmentRecord } from './attachment.ts'
import { CniFailure } from './failure.ts'

/** What the plugin asks for a pod: ADD and CHECK. */
export interface PodRequest extends Omit<AttachmentRecord, 'at' | 'detached'> {
  /** The network's configuration says that annotations are policy. */
  readonly annotations: boolean
  /** How long to wait, in milliseconds. */
  readonly within: number
}

export interface DelRequest {
  readonly sandbox: string
}

export interface GcRequest {
  readonly network: string
  /** The sandboxes that still are; all others have lost their network. */
  readonly sandboxes: readonly string[]
}

type Fields = Readonly<Record<string, unknown>>

/** File names are made of sandbox ids, so they are short and never lead elsewhere. */
const ID = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,199}$/
const POD = /^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\/[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?$/
/** Of static pods it is no UUID. */
const UID = /^[A-Za-z0-9-]{1,64}$/
const MAC = /^[0-9a-f]{2}(?::[0-9a-f]{2}){5}$/
const LONGEST_WAIT_MS = 600_000

/** Throws CniFailure. */
export function podRequestOf(body: string): PodRequest {
  const fields = fieldsOf(parsed(body))
  const { annotations, within } = fields
  if (typeof annotations !== 'boolean') throw bad('annotations', annotations)
  if (typeof within !== 'number' || !(within >= 0 && within <= LONGEST_WAIT_MS)) throw bad('within', within)
  return { ...placeOf(fields), annotations, within }
}

/** Throws CniFailure. */
export function delRequestOf(body: string): DelRequest {
  return { sandbox: text(fieldsOf(parsed(body)), 'sandbox', ID) }
}

/** Throws CniFailure. */
export function gcRequestOf(body: string): GcRequest {
  const fields = fieldsOf(parsed(body))
  const { sandboxes } = fields
  if (!Array.isArray(sandboxes) || !sandboxes.every(id => typeof id === 'string'))
    throw bad('sandboxes', sandboxes)
  return { network: text(fields, 'network', ID), sandboxes }
}

/** A kept record again. Throws CniFailure. */
export function recordOf(json: unknown): AttachmentRecord {
  const fields = fieldsOf(json)
  const { at, detached } = fields
  if (typeof at !== 'number') throw bad('at', at)
  if (typeof detached !== 'boolean') throw bad('detached', detached)
  return { ...placeOf(fields), at, detached }
}

function placeOf(fields: Fields): Omit<AttachmentRecord, 'at' | 'detached'> {
  const { addresses } = fields
  if (!Array.isArray(addresses)) throw bad('addresses', addresses)
  const name = fields.interface
  if (typeof name !== 'string' || !isInterfaceName(name)) throw bad('interface', name)
  return {
    pod: text(fields, 'pod', POD),
    sandbox: text(fields, 'sandbox', ID),
    network: text(fields, 'network', ID),
    interface: name,
    mac: fields.mac === null ? null : text(fields, 'mac', MAC),
    addresses: [...new Set(addresses.map(canonical))],
    uid: fields.uid === null || fields.uid === undefined ? null : text(fields, 'uid', UID),
  }
}

/** One address as all of us write it. */
function canonical(value: unknown): string {
  const address =
    typeof value === 'string' ? (parseSingleAddress(value, 4) ?? parseSingleAddress(value, 6)) : null
  if (address === null) throw bad('addresses', value)
  return address
}

function text(fields: Fields, name: string, form: RegExp): string {
  const value = fields[name]
  if (typeof value === 'string' && form.test(value)) return value
  throw bad(name, value)
}

function bad(name: string, value: unknown): CniFailure {
  return new CniFailure('INVALID_CONFIG', `${name} cannot be ${JSON.stringify(value) ?? 'left out'}.`)
}

function parsed(body: string): unknown {
  try {
    return JSON.parse(body)
  } catch {
    throw new CniFailure('UNDECODABLE', 'The request is not JSON.')
  }
}

function fieldsOf(json: unknown): Fields {
  if (typeof json === 'object' && json !== null && !Array.isArray(json)) return json as Fields
  throw new CniFailure('UNDECODABLE', 'The request must be a JSON object.')
}
