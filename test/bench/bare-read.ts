import { Etcd3 } from 'etcd3'

/** Reads a prefix with a bare client and ends: what a cold start's reading costs at the least. */
const [endpoint = '', prefix = ''] = process.argv.slice(2)
const client = new Etcd3({ hosts: [endpoint], grpcOptions: { 'grpc.max_receive_message_length': -1 } })
const entries = await client.getAll().prefix(prefix).strings()
console.log(Object.keys(entries).length)
process.exit(0)
