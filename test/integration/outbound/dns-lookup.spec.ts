import { createSocket, type Socket } from 'node:dgram';
import { Resolver } from 'node:dns/promises';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { createSystemLookup, type AddressLookup } from '../../../src/common/outbound/dns-lookup.js';

const A = 1;
const AAAA = 28;
const NAME_ERROR = 3;
const SERVER_FAILURE = 2;
const REFUSED = 5;

interface Answer {
  readonly code?: number;
  readonly records?: readonly Buffer[];
}

const HOSTS = `
127.0.0.1 localhost
# 192.0.2.9 listed.example.test
192.0.2.7\tother.example.test Listed.Example.test # 192.0.2.8
2001:db8::7 listed.example.test
`;

const RESOLV_CONF = `
search old.test
nameserver 192.0.2.53
search apps.cluster.test  cluster.test. . # more.test
options ndots:5
`;

let server: Socket;
let folder: string;
let lookup: AddressLookup;
let questions: string[];
let answerTo: (name: string, type: number) => Answer;

beforeEach(async () => {
  questions = [];
  server = createSocket('udp4');
  server.on('message', (message, peer) => server.send(reply(message), peer.port, peer.address));
  await new Promise<void>((resolve) => server.bind(0, '127.0.0.1', resolve));
  const resolver = new Resolver({ timeout: 10_000, tries: 1 });
  resolver.setServers([`127.0.0.1:${server.address().port}`]);
  folder = await mkdtemp(join(tmpdir(), 'names-'));
  const files = { hosts: join(folder, 'hosts'), resolvConf: join(folder, 'resolv.conf') };
  await writeFile(files.hosts, HOSTS);
  await writeFile(files.resolvConf, RESOLV_CONF);
  lookup = createSystemLookup(resolver, files);
});

afterEach(async () => {
  await new Promise<void>((resolve) => server.close(() => resolve()));
  await rm(folder, { recursive: true });
});

/** A name server's answer (RFC 1035 section 4) to a message with one question. */
function reply(message: Buffer): Buffer {
  const labels: string[] = [];
  let at = 12;
  for (let length = message[at] ?? 0; length > 0; length = message[at] ?? 0) {
    labels.push(message.toString('latin1', at + 1, at + 1 + length));
    at += 1 + length;
  }
  const type = message.readUInt16BE(at + 1);
  const name = labels.join('.').toLowerCase();
  questions.push(`${name} ${type === A ? 'A' : 'AAAA'}`);
  const { code = 0, records = [] } = answerTo(name, type);
  const head = Buffer.alloc(12);
  message.copy(head, 0, 0, 2);
  head.writeUInt16BE(0x8180 | code, 2);
  head.writeUInt16BE(1, 4);
  head.writeUInt16BE(records.length, 6);
  const answers = records.map((data) => {
    const fixed = Buffer.from([0xc0, 12, 0, type, 0, 1, 0, 0, 0, 60, 0, data.length]);
    return Buffer.concat([fixed, data]);
  });
  return Buffer.concat([head, message.subarray(12, at + 5), ...answers]);
}

describe('the system lookup', () => {
  it('should give all A and all AAAA records', async () => {
    const v6 = Buffer.from('20010db8000000000000000000000001', 'hex');
    answerTo = (_name, type) => ({
      records: type === A ? [Buffer.from([192, 0, 2, 1]), Buffer.from([192, 0, 2, 2])] : [v6],
    });
    const addresses = await lookup('hooks.example.test');
    expect([...addresses].sort()).toEqual(['192.0.2.1', '192.0.2.2', '2001:db8::1']);
    expect([...questions].sort()).toEqual(['hooks.example.test A', 'hooks.example.test AAAA']);
  });

  it('should do with one family when the other has no records or fails', async () => {
    for (const code of [0, NAME_ERROR, SERVER_FAILURE]) {
      answerTo = (_name, type) => (type === AAAA ? { code } : { records: [Buffer.from([192, 0, 2, 1])] });
      expect(await lookup(`code-${code}.example.test`)).toEqual(['192.0.2.1']);
    }
  });

  it('should fail, without asking the system, when the name server fails', async () => {
    answerTo = () => ({ code: SERVER_FAILURE });
    await expect(lookup('broken.example.test')).rejects.toMatchObject({ code: 'ESERVFAIL' });
  });

  it('should find what DNS does not know in the hosts file', async () => {
    for (const code of [0, NAME_ERROR]) {
      answerTo = () => ({ code });
      expect(await lookup('listed.example.test')).toEqual(['192.0.2.7', '2001:db8::7']);
    }
    expect(new Set(questions)).toEqual(new Set(['listed.example.test A', 'listed.example.test AAAA']));
  });

  it('should find what DNS does not know in a search domain of the machine', async () => {
    answerTo = (name, type) => {
      if (name !== 'hooks.team.cluster.test') return { code: NAME_ERROR };
      return { records: type === A ? [Buffer.from([192, 0, 2, 1])] : [] };
    };
    expect(await lookup('hooks.team')).toEqual(['192.0.2.1']);
    expect(questions.filter((question) => question.endsWith(' A'))).toEqual([
      'hooks.team A',
      'hooks.team.apps.cluster.test A',
      'hooks.team.cluster.test A',
    ]);
  });

  it('should not ask the system for a name with a dot that nobody knows, which its name server could hold up', async () => {
    answerTo = () => ({ code: NAME_ERROR });
    // The system would take it for an address.
    await expect(lookup('127.1')).rejects.toMatchObject({ code: 'ENOTFOUND' });
  });

  it('should search on where a name server fails or refuses, of the name itself or of a search domain', async () => {
    for (const code of [SERVER_FAILURE, REFUSED]) {
      const team = `hooks-${code}.team`;
      answerTo = (name, type) => {
        if (name !== `${team}.cluster.test`) return { code };
        return { records: type === A ? [Buffer.from([192, 0, 2, 1])] : [] };
      };
      expect(await lookup(team)).toEqual(['192.0.2.1']);
      answerTo = () => ({ code });
      expect(await lookup('listed.example.test')).toEqual(['192.0.2.7', '2001:db8::7']);
    }
  });

  it('should tell of a search domain whose name server failed when no other has the name', async () => {
    answerTo = (name) => ({ code: name === 'hooks.team.apps.cluster.test' ? SERVER_FAILURE : NAME_ERROR });
    await expect(lookup('hooks.team')).rejects.toMatchObject({ code: 'ESERVFAIL' });
    expect(questions).toContain('hooks.team.cluster.test A');
  });

  it('should ask the system, not DNS, for names of one label', async () => {
    answerTo = () => ({ code: NAME_ERROR });
    expect(await lookup('localhost')).toEqual(expect.arrayContaining([expect.stringMatching(/^(127\.0\.0\.1|::1)$/)]));
    expect(questions).toEqual([]);
  });
});
