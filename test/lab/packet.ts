import t from 'tap'
import {
  addressBytes,
  crc32c,
  icmpPacket,
  internetChecksum,
  sctpInitPacket,
  tcpPacket,
  udpPacket,
} from '../../src/lab/packet.ts'
import { parseAddress } from '../../src/model/cidr.ts'

t.test('sums of the standards', async t => {
  t.equal(internetChecksum(Buffer.from('0001f203f4f5f6f7', 'hex')), 0x220d, 'RFC 1071, section 3')
  t.equal(
    internetChecksum(Buffer.from('0001f203f4f5f6f700', 'hex')),
    0x220d,
    'an odd byte counts as if zero followed',
  )
  t.equal(crc32c(Buffer.from('123456789')), 0xe3069283, "the Castagnoli polynomial's check value")
  t.equal(addressBytes(parseAddress('10.0.200.1')!).toString('hex'), '0a00c801')
  t.equal(
    addressBytes(parseAddress('fe80::1')!).toString('hex'),
    'fe80000000000000000000000000 0001'.replace(' ', ''),
  )
})

t.test('IPv4', async t => {
  const ends = { source: '10.65.1.10', destination: '10.65.2.10' }
  const packet = Buffer.from(
    udpPacket({ ...ends, sourcePort: 1000, destinationPort: 53, hops: 9 }, Buffer.from('abc')),
  )
  t.equal(packet.length, 20 + 8 + 3)
  t.equal(packet.readUInt8(0), 0x45)
  t.equal(packet.readUInt16BE(2), packet.length)
  t.equal(packet.readUInt8(8), 9)
  t.equal(packet.readUInt8(9), 17)
  t.equal(packet.subarray(12, 20).toString('hex'), '0a41010a0a41020a')
  t.equal(internetChecksum(packet.subarray(0, 20)), 0, 'a header with its checksum sums to nothing')
  t.equal(packet.readUInt16BE(24), 11)
  t.equal(packet.subarray(28).toString(), 'abc')

  const icmp = Buffer.from(icmpPacket({ ...ends, type: 8, code: 1 }, Buffer.from('xyz')))
  t.equal(icmp.readUInt8(9), 1)
  t.equal(icmp.readUInt16BE(20), 0x0801)
  t.equal(internetChecksum(icmp.subarray(20)), 0, 'ICMP is summed without addresses')
})

t.test('IPv6', async t => {
  const ends = { source: 'fd65::1', destination: 'fd65::2' }
  const tcp = { ...ends, sourcePort: 1, destinationPort: 2, sequence: 0xfffffffe }
  const packet = Buffer.from(tcpPacket({ ...tcp, acknowledge: 5, flags: ['syn', 'ack'] }))
  t.equal(packet.length, 60)
  t.equal(packet.readUInt32BE(0), 0x60000000)
  t.equal(packet.readUInt16BE(4), 20)
  t.equal(packet.readUInt8(6), 6)
  t.equal(packet.readUInt8(7), 64)
  t.equal(packet.readUInt32BE(44), 0xfffffffe)
  t.equal(packet.readUInt8(53), 0x12)
  const pseudo = Buffer.concat([packet.subarray(8, 40), Buffer.from('0000001400000006', 'hex')])
  t.equal(internetChecksum(Buffer.concat([pseudo, packet.subarray(40)])), 0)
  t.equal(
    Buffer.from(icmpPacket({ ...ends, type: 135, code: 0, hops: 255 }, Buffer.alloc(20))).readUInt8(6),
    58,
  )
})

t.test('SCTP', async t => {
  const ends = { source: '10.65.1.10', destination: '10.65.2.10', sourcePort: 7, destinationPort: 8 }
  const packet = Buffer.from(sctpInitPacket({ ...ends, tag: 77 }))
  const segment = Buffer.from(packet.subarray(20))
  t.equal(packet.readUInt8(9), 132)
  t.equal(segment.readUInt8(12), 1, 'INIT')
  const sum = segment.readUInt32LE(8)
  segment.writeUInt32LE(0, 8)
  t.equal(crc32c(segment), sum)
})

t.test('what is no packet', async t => {
  const ports = { sourcePort: 1, destinationPort: 2 }
  const mixed = { source: '10.0.0.1', destination: 'fd00::1', ...ports }
  t.throws(() => udpPacket(mixed, new Uint8Array()), { code: 'USAGE', message: /different families/ })
  t.throws(() => udpPacket({ ...mixed, source: '10.0.0' }, new Uint8Array()), {
    message: /10\.0\.0 is no IP address/,
  })
})
