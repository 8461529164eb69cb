import { DataServerForTest } from '../test/data-server/data-server.js'

// A data server in a process of its own: serves a folder, says where, and ends when its parent does.

const [root] = process.argv.slice(2)
const server = await DataServerForTest.start(root)
console.log(server.address)
process.stdin.on('end', () => process.exit()).resume()
