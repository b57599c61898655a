/**
 * Preloaded into the gateway. The channel to the demo closes when the demo ends, however that happens (SIGKILL included): then
 * the gateway is told to stop, as by its operator, instead of holding its port for ever.
 */
process.once('disconnect', () => process.kill(process.pid, 'SIGTERM'));
