import { readFile } from 'node:fs/promises';

/** Paths of what a machine says about names itself: hosts(5) and resolv.conf(5). */
export interface SystemFiles {
  readonly hosts: string;
  readonly resolvConf: string;
}

export const SYSTEM_FILES: SystemFiles = { hosts: '/etc/hosts', resolvConf: '/etc/resolv.conf' };

/** The addresses of a name (in lower case) in the hosts file, in its order. None when there is no such file. */
export async function addressesInHosts({ hosts }: SystemFiles, hostname: string): Promise<string[]> {
  return (await wordsOf(hosts, /#.*/)).flatMap(([address, ...names]) =>
    address !== undefined && names.some((name) => name.toLowerCase() === hostname) ? [address] : [],
  );
}

/** The domains in which names are searched, in their order; of several lists the last one counts. */
export async function searchDomains({ resolvConf }: SystemFiles): Promise<string[]> {
  const lines = await wordsOf(resolvConf, /[#;].*/);
  const [, ...domains] = lines.findLast(([keyword]) => keyword === 'search' || keyword === 'domain') ?? [];
  return domains.map((domain) => domain.replace(/\.$/, '')).filter((domain) => domain !== '');
}

/** A file that is missing is like an empty one. */
async function wordsOf(path: string, comment: RegExp): Promise<string[][]> {
  const text = await readFile(path, 'utf8').catch(() => '');
  return text.split('\n').map((line) => line.replace(comment, '').trim().split(/\s+/));
}
