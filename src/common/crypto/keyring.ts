import { createCipheriv, createDecipheriv, createHmac, hkdfSync, randomBytes, timingSafeEqual } from 'node:crypto';
import type { EncryptionKey } from '../config/config.js';

/** A ciphertext that no configured key opens in this place. Says which key id it names, nothing of the content. */
export class DecryptionError extends Error {}

/** Where a ciphertext lives. It is authenticated with it, so that a ciphertext moved to another row does not open. */
export interface CiphertextPlace {
  table: string;
  column: string;
  /** Tenant, or whatever else the row belongs to. */
  owner: string;
}

const IV_BYTES = 12;
const TAG_BYTES = 16;

/**
 * Encrypts with AES-256-GCM under the first key of ENCRYPTION_KEYS and decrypts under any of them. The format is
 * `v1.<key id>.<base64url of IV, ciphertext, tag>`; the additional data are version, key id and place.
 */
export class Keyring {
  private readonly byId: Map<string, EncryptionKey>;
  private readonly macKeys: Buffer[];

  constructor(private readonly keys: readonly EncryptionKey[]) {
    this.byId = new Map(keys.map((key) => [key.id, key]));
    this.macKeys = keys.map(({ key }) => Buffer.from(hkdfSync('sha256', key, '', 'tensorpix-gateway cursor', 32)));
  }

  get keyIds(): string[] {
    return this.keys.map((key) => key.id);
  }

  encrypt(plaintext: string, place: CiphertextPlace): string {
    return this.encryptUnder(this.primary, plaintext, place);
  }

  /** @throws DecryptionError */
  decrypt(ciphertext: string, place: CiphertextPlace): string {
    const [version, keyId, payload] = ciphertext.split('.');
    const key = keyId === undefined ? undefined : this.byId.get(keyId);
    if (version !== 'v1' || !key || !payload)
      throw new DecryptionError(`no key ${JSON.stringify(keyId)} is configured`);
    const bytes = Buffer.from(payload, 'base64url');
    const ciphertextEnd = bytes.length - TAG_BYTES;
    try {
      const decipher = createDecipheriv('aes-256-gcm', key.key, bytes.subarray(0, IV_BYTES), {
        authTagLength: TAG_BYTES,
      });
      decipher.setAAD(additionalData(key.id, place));
      decipher.setAuthTag(bytes.subarray(ciphertextEnd));
      return decipher.update(bytes.subarray(IV_BYTES, ciphertextEnd), undefined, 'utf8') + decipher.final('utf8');
    } catch {
      const where = `${place.table}.${place.column}`;
      throw new DecryptionError(`key ${JSON.stringify(key.id)} does not open this ciphertext in ${where}`);
    }
  }

  /** A ciphertext under one particular key: the canary of that key. */
  encryptWith(keyId: string, plaintext: string, place: CiphertextPlace): string {
    const key = this.byId.get(keyId);
    if (!key) throw new DecryptionError(`no key ${JSON.stringify(keyId)} is configured`);
    return this.encryptUnder(key, plaintext, place);
  }

  /** A short authenticator for values that clients carry back to us, such as cursors. */
  mac(text: string): string {
    return this.macUnder(this.macKeys[0], text).toString('base64url');
  }

  /** True when some configured key made this authenticator: cursors survive a rotation. */
  verifyMac(text: string, mac: string): boolean {
    const given = Buffer.from(mac);
    return this.macKeys.some((key) => {
      const expected = Buffer.from(this.macUnder(key, text).toString('base64url'));
      return expected.length === given.length && timingSafeEqual(expected, given);
    });
  }

  private get primary(): EncryptionKey {
    const [key] = this.keys;
    if (!key) throw new DecryptionError('no key is configured');
    return key;
  }

  private encryptUnder(key: EncryptionKey, plaintext: string, place: CiphertextPlace): string {
    const iv = randomBytes(IV_BYTES);
    const cipher = createCipheriv('aes-256-gcm', key.key, iv, { authTagLength: TAG_BYTES });
    cipher.setAAD(additionalData(key.id, place));
    const bytes = Buffer.concat([iv, cipher.update(plaintext, 'utf8'), cipher.final(), cipher.getAuthTag()]);
    return `${beginningUnder(key.id)}${bytes.toString('base64url')}`;
  }

  private macUnder(key: Buffer | undefined, text: string): Buffer {
    if (!key) throw new DecryptionError('no key is configured');
    return createHmac('sha256', key).update(text).digest().subarray(0, 12);
  }
}

/** How each ciphertext under this key begins. */
export function beginningUnder(keyId: string): string {
  return `v1.${keyId}.`;
}

function additionalData(keyId: string, place: CiphertextPlace): Buffer {
  return Buffer.from(JSON.stringify(['v1', keyId, place.table, place.column, place.owner]));
}
