import { Injectable } from '@nestjs/common';
import { ConfigError } from '../config/config.js';
import { PrismaService } from '../prisma/prisma.service.js';
import { DecryptionError, Keyring, type CiphertextPlace } from './keyring.js';

const CANARY_TEXT = 'tensorpix-gateway canary';

/**
 * A known text under every encryption key. A key that does not open its canary is not the key that the stored tokens
 * were encrypted with, and that must show at the start, not at the first job.
 */
@Injectable()
export class CanaryStore {
  constructor(
    private readonly prisma: PrismaService,
    private readonly keyring: Keyring,
  ) {}

  /**
   * @param isNeeded whether anything that is stored was encrypted with the key of this id
   * @throws ConfigError when a key is wrong, or one that stored secrets still need is missing
   */
  async verify(isNeeded: (keyId: string) => Promise<boolean>): Promise<void> {
    const canaries = await this.prisma.encryptionCanary.findMany();
    const configured = new Set(this.keyring.keyIds);
    for (const { keyId, ciphertext } of canaries) {
      if (configured.has(keyId)) this.mustOpen(keyId, ciphertext);
      else if (await isNeeded(keyId)) {
        throw new ConfigError(`ENCRYPTION_KEYS lacks the key "${keyId}", which stored secrets need`);
      }
    }
    await this.remember(canaries.map(({ keyId }) => keyId));
  }

  /** Only when the start is not refused: a mistyped key must not be what the right one is held against later. */
  private async remember(known: string[]): Promise<void> {
    const added = this.keyring.keyIds.filter((keyId) => !known.includes(keyId));
    const data = added.map((keyId) => ({
      keyId,
      ciphertext: this.keyring.encryptWith(keyId, CANARY_TEXT, place(keyId)),
    }));
    if (data.length > 0) await this.prisma.encryptionCanary.createMany({ data, skipDuplicates: true });
  }

  private mustOpen(keyId: string, ciphertext: string): void {
    try {
      this.keyring.decrypt(ciphertext, place(keyId));
    } catch (error) {
      if (!(error instanceof DecryptionError)) throw error;
      throw new ConfigError(
        `ENCRYPTION_KEYS holds another key "${keyId}" than the one that stored secrets were encrypted with`,
      );
    }
  }
}

function place(keyId: string): CiphertextPlace {
  return { table: 'encryption_canaries', column: 'ciphertext', owner: keyId };
}
