/**
 * Preloaded into a gateway that was started with a channel (`ipc`): tells the parent of each TCP connection that it opens,
 * before anything is sent on it, so that a receiver's requests can be traced to the process that sent them. It only looks.
 */
import { subscribe } from 'node:diagnostics_channel';

subscribe('net.client.socket', (message) => {
  const { socket } = /** @type {{ socket: import('node:net').Socket }} */ (message);
  socket.once('connect', () => {
    if (!process.connected) return;
    process.send?.({ from: socket.localPort, to: socket.remotePort, atMs: Number(process.hrtime.bigint()) / 1e6 });
  });
});
