/**
 * Preloaded into a program that was started with a channel (`ipc`). The channel closes when the parent ends, however that
 * happens (SIGKILL included): then the program is told to stop, as by its operator, instead of running for ever.
 */
process.once('disconnect', () => process.kill(process.pid, 'SIGTERM'));
// A program that has nothing left to do may end before its parent.
process.channel?.unref();
