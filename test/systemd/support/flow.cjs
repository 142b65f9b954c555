// UDP flows between pods: `flow.cjs send ADDRESS SENDER` sends numbered packets to port 9 there, a hundred a second;
// `flow.cjs count FILE` tells in FILE what came of each sender: how many packets, when the first, how many are missing since.
const { createSocket } = require('node:dgram')
const { renameSync, writeFileSync } = require('node:fs')

const [kind, ...rest] = process.argv.slice(2)
const socket = createSocket('udp4')

if (kind === 'count') {
  const [file] = rest
  const senders = {}
  socket.on('message', message => {
    const [name, number] = String(message).split(' ')
    senders[name] ??= { packets: 0, first: Date.now(), next: Number(number), lost: 0 }
    const sender = senders[name]
    sender.packets++
    sender.lost += Number(number) - sender.next
    sender.next = Number(number) + 1
  })
  socket.bind(9)
  setInterval(() => {
    writeFileSync(`${file}.new`, JSON.stringify(senders))
    renameSync(`${file}.new`, file)
  }, 50)
} else {
  const [address, name] = rest
  let number = 0
  socket.on('error', () => {})
  setInterval(() => socket.send(`${name} ${number++}`, 9, address, () => {}), 10)
}
