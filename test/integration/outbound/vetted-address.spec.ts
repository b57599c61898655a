import { describe, expect, it } from '@jest/globals';
import { parseCidrs } from '../../../src/common/outbound/cidr.js';
import { classOf, clientWith, closeAfterEach, post, running } from './attempts.js';
import { startHttp, startTcp } from './receivers.js';

closeAfterEach();

/** Gives the answers one after the other, then the last one for ever. */
function answering(...answers: readonly (readonly string[])[]): {
  lookup: () => Promise<readonly string[]>;
  asked: () => number;
} {
  let asked = 0;
  return {
    lookup: () => Promise.resolve(answers[Math.min(asked++, answers.length - 1)] ?? []),
    asked: () => asked,
  };
}

describe('the vetted address (invariant 12)', () => {
  it('should refuse all addresses for one that is forbidden, and connect to none', async () => {
    const receiver = await running(startHttp());
    const url = `http://receiver.test:${receiver.port}/`;
    for (const forbidden of [
      '169.254.169.254',
      '10.0.0.1',
      '::1',
      '::ffff:10.0.0.1',
      'fe80::1',
      'fe80::1%lo',
      'not an address',
    ]) {
      const client = clientWith({ lookup: () => Promise.resolve(['127.0.0.1', forbidden]) });
      const outcome = await post(client, url);
      expect(outcome).toMatchObject({ kind: 'error', errorClass: 'forbidden_address' });
      expect(outcome.kind === 'error' && outcome.message).not.toContain('169.254');
    }
    expect(receiver.connections()).toBe(0);
  });

  it('should refuse literals, schemes, ports and hosts that the policy does not open', async () => {
    const receiver = await running(startHttp());
    const strict = clientWith({ policy: { allowHttp: false, allowedCidrs: [] } });
    expect(classOf(await post(strict, `https://127.0.0.1:${receiver.port}/`))).toBe('forbidden_address');
    expect(classOf(await post(strict, `https://2130706433:${receiver.port}/`))).toBe('forbidden_address');
    expect(classOf(await post(strict, `https://[::ffff:7f00:1]:${receiver.port}/`))).toBe('forbidden_address');
    expect(classOf(await post(strict, `https://localhost:${receiver.port}/`))).toBe('forbidden_address');
    expect(classOf(await post(strict, `http://receiver.test:${receiver.port}/`))).toBe('forbidden_address');
    const lenient = clientWith();
    expect(classOf(await post(lenient, 'http://receiver.test:25/'))).toBe('forbidden_address');
    expect(classOf(await post(lenient, 'no url'))).toBe('forbidden_address');
    expect(
      classOf(await post(lenient, `http://receiver.test:${receiver.port}/`, { allowedHosts: ['other.test'] })),
    ).toBe('forbidden_address');
    expect(receiver.connections()).toBe(0);
  });

  it('should refuse a name that has been rebound, although a connection to its old address is open', async () => {
    const receiver = await running(startHttp());
    const dns = answering(['127.0.0.1'], ['169.254.169.254'], ['127.0.0.1']);
    const client = clientWith({ lookup: dns.lookup, dnsTtlMs: 0 });
    const url = `http://receiver.test:${receiver.port}/`;
    expect(classOf(await post(client, url))).toBe('response 200');
    expect(classOf(await post(client, url))).toBe('forbidden_address');
    expect(classOf(await post(client, url))).toBe('response 200');
    expect(receiver.connections()).toBe(1);
    expect(receiver.received).toHaveLength(2);
  });

  it('should not reuse a connection to an address that the name has left', async () => {
    const first = await running(startHttp());
    const second = await running(startHttp(undefined, '127.0.0.2', first.port));
    const dns = answering(['127.0.0.1'], ['127.0.0.2'], ['127.0.0.2', '127.0.0.1']);
    const client = clientWith({ lookup: dns.lookup, dnsTtlMs: 0, connectionsPerOrigin: 1 });
    const url = `http://receiver.test:${first.port}/`;
    for (let attempt = 0; attempt < 3; attempt++) expect(classOf(await post(client, url))).toBe('response 200');
    expect([first.received.length, second.received.length]).toEqual([1, 2]);
    expect([first.connections(), second.connections()]).toEqual([1, 1]);
    expect(second.received[0]).toMatchObject({
      localAddress: '127.0.0.2',
      headers: { host: `receiver.test:${first.port}` },
    });
  });

  it('should ask once for names wanted at the same time, and again when the answer is old', async () => {
    const receiver = await running(startHttp());
    const dns = answering(['127.0.0.1']);
    const url = `http://receiver.test:${receiver.port}/`;
    const remembering = clientWith({ lookup: dns.lookup });
    const outcomes = await Promise.all([post(remembering, url), post(remembering, url), post(remembering, url)]);
    const later = await post(remembering, url);
    expect(dns.asked()).toBe(1);
    expect(outcomes.map((outcome) => outcome.phases.dns === null)).toEqual([false, false, false]);
    expect(later.phases.dns).toBeNull();
    const forgetful = clientWith({ lookup: dns.lookup, dnsTtlMs: 0 });
    await post(forgetful, url);
    await post(forgetful, url);
    expect(dns.asked()).toBe(3);
  });

  it('should fail as dns for a name without addresses and a resolver that fails', async () => {
    const failing = Object.assign(new Error('queryA ENOTFOUND receiver.test'), { code: 'ENOTFOUND' });
    const outcome = await post(clientWith({ lookup: () => Promise.reject(failing) }), 'http://receiver.test/');
    expect(outcome).toMatchObject({ errorClass: 'dns', message: 'the host name does not resolve (ENOTFOUND)' });
    expect(classOf(await post(clientWith({ lookup: () => Promise.resolve([]) }), 'http://receiver.test/'))).toBe('dns');
  });

  it('should go to the next vetted address when one does not accept connections', async () => {
    const receiver = await running(startHttp(undefined, '127.0.0.2'));
    const client = clientWith({ lookup: () => Promise.resolve(['127.0.0.1', '127.0.0.2']) });
    const url = `http://receiver.test:${receiver.port}/`;
    expect(classOf(await post(client, url))).toBe('response 200');
    expect(classOf(await post(client, url))).toBe('response 200');
    expect(receiver.connections()).toBe(1);
  });

  it('should not send a request a second time to another address once it was sent', async () => {
    const resetting = await running(startTcp((socket) => void socket.once('data', () => socket.resetAndDestroy())));
    const second = await running(startHttp(undefined, '127.0.0.2', resetting.port));
    const client = clientWith({ lookup: () => Promise.resolve(['127.0.0.1', '127.0.0.2']) });
    expect(classOf(await post(client, `http://receiver.test:${resetting.port}/`))).toBe('reset');
    expect(second.connections()).toBe(0);
  });

  it('should reach an IPv6 literal by its brackets, where the machine has IPv6', async () => {
    const receiver = await running(startHttp(undefined, '::1')).catch(() => null);
    if (receiver === null) return;
    const client = clientWith({ policy: { allowHttp: true, allowedCidrs: parseCidrs('::1') } });
    expect(classOf(await post(client, `http://[::1]:${receiver.port}/`))).toBe('response 200');
    expect(receiver.received[0]?.headers.host).toBe(`[::1]:${receiver.port}`);
  });
});

describe('connections', () => {
  it('should carry many callbacks over one, with handshakes only in the first', async () => {
    const receiver = await running(startHttp());
    const client = clientWith({ policy: { allowHttp: true, allowedCidrs: parseCidrs('127.0.0.1') } });
    const url = `http://receiver.test:${receiver.port}/`;
    const first = await post(client, url);
    for (let index = 0; index < 20; index++) {
      const { phases } = await post(client, `${url}?n=${index}`);
      expect([phases.connect, phases.tls]).toEqual([null, null]);
    }
    expect(first.phases.connect).not.toBeNull();
    expect(receiver.connections()).toBe(1);
    expect(receiver.received).toHaveLength(21);
  });

  it('should open no more than the limit to one origin, and serve those in line', async () => {
    const receiver = await running(startHttp());
    const client = clientWith({ connectionsPerOrigin: 3 });
    const url = `http://receiver.test:${receiver.port}/`;
    const outcomes = await Promise.all(Array.from({ length: 40 }, () => post(client, url)));
    expect(new Set(outcomes.map(classOf))).toEqual(new Set(['response 200']));
    expect(receiver.connections()).toBeLessThanOrEqual(3);
    expect(receiver.received).toHaveLength(40);
  });

  it('should let those in line time out while others hold all connections, and go on afterwards', async () => {
    let silent = true;
    const receiver = await running(startHttp((_request, response) => void (silent || response.end())));
    const client = clientWith({ connectionsPerOrigin: 1, timeoutMs: 1_000 });
    const url = `http://receiver.test:${receiver.port}/`;
    const outcomes = await Promise.all([post(client, url), post(client, url), post(client, url)]);
    expect(outcomes.map(classOf)).toEqual(['timeout', 'timeout', 'timeout']);
    const [first, ...others] = outcomes.map((outcome) => outcome.kind === 'error' && outcome.message);
    expect(first).toBe('no response within 1000 ms');
    for (const message of others) expect(message).toMatch(/^no .*free connection/);
    silent = false;
    expect(classOf(await post(client, url))).toBe('response 200');
  });

  it('should not let a silent origin hold up another one', async () => {
    const silent = await running(startTcp(() => undefined));
    const receiver = await running(startHttp());
    const client = clientWith({ connectionsPerOrigin: 1, timeoutMs: 2_000 });
    const stuck = [1, 2, 3].map(() => post(client, `http://receiver.test:${silent.port}/`));
    for (let index = 0; index < 10; index++) {
      expect(classOf(await post(client, `http://receiver.test:${receiver.port}/`))).toBe('response 200');
    }
    expect((await Promise.all(stuck)).map(classOf)).toEqual(['timeout', 'timeout', 'timeout']);
  });

  it('should open a new one after a receiver has closed the last', async () => {
    const receiver = await running(
      startHttp((_request, response) => void response.writeHead(200, { connection: 'close' }).end()),
    );
    const client = clientWith();
    const url = `http://receiver.test:${receiver.port}/`;
    for (let index = 0; index < 5; index++) {
      const outcome = await post(client, url);
      expect(classOf(outcome)).toBe('response 200');
      expect(outcome.phases.connect).not.toBeNull();
    }
    expect(receiver.connections()).toBe(5);
  });

  it('should close those of the origin longest unused when there are too many origins', async () => {
    const receivers = await Promise.all([1, 2, 3].map(() => running(startHttp())));
    const client = clientWith({ maxOrigins: 2 });
    for (const { port } of receivers) await post(client, `http://receiver.test:${port}/`);
    for (const { port } of [...receivers].reverse()) await post(client, `http://receiver.test:${port}/`);
    expect(receivers.map(({ connections }) => connections())).toEqual([2, 1, 1]);
  });
});
